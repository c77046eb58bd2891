%%% What bindgate asks of the server: hello, kick, mode, probe, revoke, snapshot. Functions on the state of mod_bindgate_gate.
-module(mod_bindgate_requests).

-export([handle/2, settle/4, settle_all/3, give_up/2, answer_all/1, load_mode/1]).
-import(mod_bindgate_wire, [el/2, el/3, attr/2, children/2, clean/2, flag/1, int/1, whole/3, ns/0]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("mod_bindgate.hrl").

-define(PART_SESSIONS, 100).
-define(BUCKETS, 4096).
-define(MOST_PROBES, 50).

handle(#iq{type = Type, sub_els = [#xmlel{name = Name} = El]} = IQ, S) ->
    try requested(Type, Name, El, IQ, S)
    catch Class:Reason:Stack ->
            ?ERROR_MSG("bindgate: ~ts failed: ~ts", [Name, misc:format_exception(2, Class, Reason, Stack)]),
            refuse(IQ, wait, 'internal-server-error', <<"the request failed, see the server's log">>, S)
    end;
handle(IQ, S) -> bad(IQ, <<"no request of the gate protocol">>, S).

refuse(IQ, Type, Condition, Text, S) ->
    mod_bindgate_link:send(xmpp:make_error(IQ, #stanza_error{type = Type, reason = Condition, text = [#text{lang = <<"en">>, data = Text}]}), S),
    S.

bad(IQ, Text, S) -> refuse(IQ, modify, 'bad-request', Text, S).

result(IQ, El, S) ->
    mod_bindgate_link:send(xmpp:make_iq_result(IQ, El), S),
    S.

requested(get, <<"hello">>, _, IQ, S) -> result(IQ, mod_bindgate_link:hello(S), S);
requested(set, <<"kick">>, El, IQ, #gate{ledger = L} = S) ->
    case mod_bindgate_wire:kick(El) of
        {error, Wrong} -> bad(IQ, <<"kick: ", Wrong/binary>>, S);
        {ok, #{sid := Sid} = Kick} ->
            case mod_bindgate_ledger:find(L, Sid) of
                #row{} = Row -> mod_bindgate_gate:start_kick(Row, Kick, IQ, S);
                undefined ->
                    case mod_bindgate_gate:remember(Kick, S) of
                        {true, S1} -> result(IQ, el(<<"kick">>, [{<<"xmlns">>, ns()}, {<<"pending">>, <<"1">>}]), S1);
                        {false, _} -> refuse(IQ, cancel, 'item-not-found', <<"no session has this sid">>, S)
                    end
            end
    end;
requested(set, <<"mode">>, El, IQ, #gate{host = Host, mode = Old} = S0) ->
    case attr(<<"value">>, El) of
        Mode when Mode =:= <<"enforce">>; Mode =:= <<"observe">>; Mode =:= <<"off">> ->
            Mode =/= Old andalso ?WARNING_MSG("bindgate: the mode of ~ts is now ~ts, was ~ts", [Host, Mode, Old]),
            S = S0#gate{mode = Mode},
            case keep_mode(Host, Mode) of
                ok ->
                    mod_bindgate_link:send(xmpp:make_iq_result(IQ), S),
                    S;
                {error, Reason} ->
                    ?ERROR_MSG("bindgate: the mode cannot be kept: ~p", [Reason]),
                    refuse(IQ, wait, 'internal-server-error', <<"the mode is set, but cannot be kept over a restart">>, S)
            end;
        _ -> bad(IQ, <<"mode: the attribute value must be enforce, observe or off">>, S0)
    end;
requested(get, <<"probe">>, El, IQ, S) ->
    Timeout = whole(attr(<<"timeout_ms">>, El), 1, 60000),
    Sids = [attr(<<"sid">>, E) || E <- children(<<"session">>, El)],
    case lists:member(undefined, Sids) of
        _ when Timeout =:= undefined -> bad(IQ, <<"probe: the attribute timeout_ms must be a whole number from 1 to 60000">>, S);
        true -> bad(IQ, <<"probe: a session has no sid">>, S);
        _ when Sids =:= [] -> bad(IQ, <<"probe: there is no session to probe">>, S);
        _ when length(Sids) > ?MOST_PROBES -> bad(IQ, <<"probe: at most 50 sessions">>, S);
        false -> probe(IQ, Sids, Timeout, S)
    end;
requested(set, <<"revoke">>, El, IQ, #gate{host = Host, ledger = L, unbound = Unbound} = S) ->
    case mod_bindgate_revoke:request(Host, El) of
        {ok, User, Means, Revoked} ->
            %% Who has logged in by what is revoked, and is not bound yet, begins anew.
            [ejabberd_c2s:route(Pid, {mod_bindgate, reset}) || {Pid, {U, ClientId, _}} <- maps:to_list(Unbound), U =:= User, Means(ClientId)],
            {Sessions, More} = mod_bindgate_ledger:listed(L, User),
            result(IQ, el(<<"revoke">>, [{<<"xmlns">>, ns()}, {<<"epoch">>, S#gate.epoch}, {<<"seq">>, int(S#gate.seq)},
                                                           {<<"more">>, More}], Revoked ++ Sessions), S);
        {error, Wrong} -> bad(IQ, <<"revoke: ", Wrong/binary>>, S)
    end;
requested(get, <<"snapshot">>, El, IQ, S) ->
    First = whole(attr(<<"first">>, El), 0, ?BUCKETS - 1),
    Count = First =/= undefined andalso whole(attr(<<"count">>, El), 1, ?BUCKETS - First),
    Digest = attr(<<"digest">>, El),
    case Digest =:= undefined orelse re:run(Digest, "^\\d+-[0-9a-f]{12}$", [{capture, none}]) =:= match of
        _ when First =:= undefined -> bad(IQ, <<"snapshot: the attribute first must be a whole number from 0 to 4095">>, S);
        _ when Count =:= undefined -> bad(IQ, <<"snapshot: the attribute count must be a whole number from 1 to ", (int(?BUCKETS - First))/binary>>, S);
        false -> bad(IQ, <<"snapshot: the attribute digest must be a number, a dash and 12 hexadecimal digits">>, S);
        true -> snapshot(IQ, First, Count, Digest, S)
    end;
requested(Type, Name, _, IQ, S) ->
    bad(IQ, iolist_to_binary(["no request of the gate protocol: ", atom_to_list(Type), " ", clean(Name, 64)]), S).

snapshot(IQ, First, Count, Digest, #gate{ledger = L} = S) ->
    {Covered, Rows, Same} = case Digest =/= undefined andalso mod_bindgate_ledger:digest(L, First, Count) of
                                Digest -> {Count, [], true};
                                _ ->
                                    {N, Part} = mod_bindgate_ledger:part(L, First, Count, ?PART_SESSIONS),
                                    {N, Part, false}
                            end,
    Now = erlang:monotonic_time(microsecond),
    result(IQ, el(<<"snapshot">>,
                                    [{<<"xmlns">>, ns()}, {<<"first">>, int(First)}, {<<"count">>, int(Covered)},
                                     {<<"total">>, int(mod_bindgate_ledger:total(L))}, {<<"epoch">>, S#gate.epoch}, {<<"seq">>, int(S#gate.seq)},
                                     {<<"same">>, flag(Same)}],
                                    [el(<<"session">>, mod_bindgate_ledger:describe(R, Now)) || R <- Rows]), S).

%%% probes

probe(IQ, Sids, Timeout, #gate{ledger = L} = S0) ->
    Probe = make_ref(),
    S = S0#gate{probes = (S0#gate.probes)#{Probe => {IQ, Sids, #{}, erlang:start_timer(Timeout, self(), {probe, Probe})}}},
    lists:foldl(fun(Sid, S1) ->
                        case mod_bindgate_ledger:find(L, Sid) of
                            undefined -> settle(Probe, Sid, gone, S1);
                            #row{hibernating = true} -> settle(Probe, Sid, hibernating, S1);
                            #row{pid = Pid} ->
                                ejabberd_c2s:route(Pid, {mod_bindgate, {probe, Probe}}),
                                S1
                        end
                end, S, lists:usort(Sids)).

settle(Probe, Sid, Verdict, #gate{probes = Probes} = S) ->
    case Probes of
        #{Probe := {_, _, #{Sid := _}, _}} -> S;
        #{Probe := {IQ, Sids, Verdicts, Timer}} ->
            Known = Verdicts#{Sid => Verdict},
            case lists:all(fun(Id) -> is_map_key(Id, Known) end, Sids) of
                true ->
                    mod_bindgate_link:cancel(Timer),
                    send_verdicts(IQ, Sids, Known, S),
                    S#gate{probes = maps:remove(Probe, Probes)};
                false -> S#gate{probes = Probes#{Probe => {IQ, Sids, Known, Timer}}}
            end;
        _ -> S
    end.

settle_all(Sid, Verdict, #gate{probes = Probes} = S) ->
    maps:fold(fun(Probe, {_, Sids, _, _}, S1) ->
                      case lists:member(Sid, Sids) of
                          true -> settle(Probe, Sid, Verdict, S1);
                          false -> S1
                      end
              end, S, Probes).

give_up(Probe, #gate{probes = Probes} = S) ->
    case maps:take(Probe, Probes) of
        {{IQ, Sids, Verdicts, _}, Rest} ->
            send_verdicts(IQ, Sids, Verdicts, S),
            S#gate{probes = Rest};
        error -> S
    end.

%% Probes that still run are answered as things stand.
answer_all(#gate{probes = Probes} = S) -> maps:foreach(fun(_, {IQ, Sids, Verdicts, _}) -> send_verdicts(IQ, Sids, Verdicts, S) end, Probes).

send_verdicts(IQ, Sids, Verdicts, S) ->
    result(IQ, el(<<"probe">>, [{<<"xmlns">>, ns()}],
                                    [el(<<"session">>, [{<<"sid">>, Sid}, {<<"verdict">>, atom_to_binary(maps:get(Sid, Verdicts, silent), latin1)}]) || Sid <- Sids]), S).

%%% the mode outlives restarts in a file of its own beside the server's database

mode_file(Host) -> filename:join(mnesia:system_info(directory), "bindgate-" ++ binary_to_list(Host) ++ ".mode").

load_mode(Host) ->
    case file:read_file(mode_file(Host)) of
        {ok, <<"observe", _/binary>>} -> <<"observe">>;
        {ok, <<"off", _/binary>>} -> <<"off">>;
        _ -> <<"enforce">>
    end.

keep_mode(Host, Mode) ->
    File = mode_file(Host),
    case file:write_file(File ++ ".new", [Mode, $\n], [sync]) of
        ok -> file:rename(File ++ ".new", File);
        Error -> Error
    end.
