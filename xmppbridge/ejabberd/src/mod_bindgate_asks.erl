%%% What becomes of an ask: it goes to bindgate, is answered, is decided by the failure policy, waits for the account's earlier one.
%%% Functions on the state of mod_bindgate_gate.
-module(mod_bindgate_asks).

-export([ask/3, answer/2, gone/2, fail_asks/2, timed_out/2, overdue/2, next_in_lane/2]).
-export([keep/2, drop/2, of_user/2]).
-import(mod_bindgate_wire, [el/3, children/2, flag/1, int/1, ns/0, sub_el/2]).
-import(mod_bindgate_link, [alone/2, send_iq/4, event/3, cancel/1, now_ms/0]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("mod_bindgate.hrl").

-define(LANE_MS, 250). % so long an answer waits for a stream to bind by the account's earlier one

%% Asks for a stream. From gets the answer: {in, ask's id, whether anybody goes for it, whom to arm} or {out, denial}.
ask(Record, From, #gate{mode = <<"off">>} = S) ->
    gen_server:reply(From, {in, undefined, false, []}),
    forget(maps:get(sid, Record), S);
ask(#{sid := Sid, user := User, resource := Resource, pid := Pid} = Record, From, S0) ->
    S1 = forget(Sid, S0),
    case mod_bindgate_link:usable(S1) of
        {false, Why} -> by_policy(From, Why, S1);
        {true, #gate{count = N} = S2} ->
            Id = <<"bindgate-a", (S2#gate.epoch)/binary, $-, (int(N + 1))/binary>>,
            AskId = <<(S2#gate.epoch)/binary, $-, (int(N + 1))/binary>>,
            {Sessions, More} = mod_bindgate_ledger:listed(S2#gate.ledger, User),
            send_iq(get, Id, el(<<"ask">>, ask_attrs(Record, AskId, S2) ++ [{<<"more">>, More}], Sessions), S2),
            W = #waiting{sid = Sid, user = User, resource = Resource, pid = Pid, mref = erlang:monitor(process, Pid), from = From,
                         ask_id = AskId, number = N + 1, stage = asking},
            S3 = keep(W, S2),
            S3#gate{count = N + 1,
                     asks = (S3#gate.asks)#{Id => {Sid, erlang:start_timer(S3#gate.timeout, self(), {ask, Id})}}}
    end.

ask_attrs(#{named := Named} = R, AskId, S) ->
    [{<<"xmlns">>, ns()}, {<<"ask_id">>, AskId}, {<<"deadline_ms">>, int(S#gate.timeout)}, {<<"user">>, maps:get(user, R)},
     {<<"sid">>, maps:get(sid, R)}, {<<"resource">>, maps:get(resource, R)}, {<<"chosen">>, flag(Named)}, {<<"ip">>, maps:get(ip, R)},
     {<<"secure">>, flag(maps:get(secure, R))}, {<<"transport">>, maps:get(transport, R)}, {<<"client_id">>, maps:get(client_id, R)},
     {<<"client">>, maps:get(client, R)}, {<<"lang">>, maps:get(lang, R)}, {<<"takeover">>, maps:get(takeover, R)}, {<<"epoch">>, S#gate.epoch},
     {<<"seq">>, int(S#gate.seq)}].

by_policy(From, Why, S0) ->
    S = alone(Why, S0),
    gen_server:reply(From, case lets_in(S) of true -> {in, undefined, false, []}; false -> {out, mod_bindgate_wire:unavailable()} end),
    S.

lets_in(#gate{mode = Mode, on_failure = Policy}) -> Mode =/= <<"enforce">> orelse Policy =:= allow.

%% An ask ends undecided.
undecided(#waiting{sid = Sid, from = From} = W, Why, S0) ->
    S = forget(Sid, S0),
    case lets_in(S) of
        true -> by_policy(From, Why, S);
        false -> by_policy(From, Why, told_gone(W, S))
    end.

told_gone(#waiting{ask_id = undefined}, S) -> S; % bindgate does not know of it
told_gone(#waiting{user = User, sid = Sid, ask_id = AskId, resource = Resource}, S) ->
    event(<<"gone">>, [{<<"user">>, User}, {<<"sid">>, Sid}, {<<"ask_id">>, AskId}, {<<"resource">>, Resource}], S).

fail_asks(Why, #gate{asks = Asks} = S) ->
    maps:fold(fun(_, {Sid, Timer}, S1) ->
                      cancel(Timer),
                      case S1#gate.waiting of
                          #{Sid := #waiting{stage = asking} = W} -> undecided(W, Why, S1);
                          _ -> S1
                      end
              end, S#gate{asks = #{}}, Asks).

answer(#iq{id = Id} = IQ, #gate{hello_id = Id} = S) -> mod_bindgate_link:hello_answer(IQ, S);
answer(#iq{id = Id, type = Type} = IQ, #gate{asks = Asks, waiting = Waiting} = S0) ->
    case maps:take(Id, Asks) of
        {{Sid, Timer}, Rest} ->
            cancel(Timer),
            S = mod_bindgate_link:answered(Type =:= result, S0#gate{asks = Rest}),
            case Waiting of
                #{Sid := #waiting{stage = asking} = W} -> decided(IQ, W, S);
                _ -> S
            end;
        error -> S0 % too late
    end.

decided(#iq{type = error}, W, S) -> undecided(W, <<"bindgate answered with an error">>, S);
decided(IQ, #waiting{sid = Sid, from = From} = W, #gate{mode = Mode} = S) ->
    case {sub_el(<<"allow">>, IQ), sub_el(<<"deny">>, IQ)} of
        {#xmlel{} = Allow, _} -> queue(W#waiting{kicks = [K || Mode =:= <<"enforce">>, K <- kicks(Allow)]}, S);
        {_, #xmlel{} = Deny} ->
            gen_server:reply(From, case Mode of
                                       <<"enforce">> -> {out, mod_bindgate_wire:denial(Deny)};
                                       _ -> {in, undefined, false, []}
                                   end),
            forget(Sid, S);
        _ -> undecided(W, <<"bindgate's answer was not understood">>, S)
    end.

kicks(Allow) ->
    lists:flatmap(fun(El) ->
                          case mod_bindgate_wire:kick(El) of
                              {ok, K} -> [K];
                              {error, Wrong} -> ?WARNING_MSG("bindgate: a kick in an answer is malformed: ~ts", [Wrong]), []
                          end
                  end, children(<<"kick">>, Allow)).

%% The binds of an account follow each other in the order of their answers: else the one that goes for the other would be replaced
%% by it if both want one resource.
queue(#waiting{sid = Sid, user = User} = W, S) ->
    case in_lane(User, S) of
        [] -> release(W, S);
        _ ->
            erlang:start_timer(?LANE_MS, self(), {lane, Sid}),
            keep(W#waiting{stage = queued, since = now_ms()}, S)
    end.

in_lane(User, S) -> [W || #waiting{stage = Stage} = W <- of_user(User, S), Stage =:= queued orelse Stage =:= allowed].

next_in_lane(User, S) ->
    Lane = in_lane(User, S),
    case lists:keymember(allowed, #waiting.stage, Lane) of
        false when Lane =/= [] -> release(hd(lists:keysort(#waiting.number, Lane)), S);
        _ -> S
    end.

release(#waiting{user = User, resource = Resource, from = From, ask_id = AskId, kicks = Kicks} = W, #gate{ledger = L} = S) ->
    Arms = [{Pid, K} || #{sid := Other} = K <- Kicks, #row{user = U, resource = R, pid = Pid} <- [mod_bindgate_ledger:find(L, Other)], U =:= User, R =:= Resource],
    gen_server:reply(From, {in, AskId, Kicks =/= [], Arms}),
    keep(W#waiting{stage = allowed, since = now_ms(), arms = Arms}, S).

%% What waits for a sid waits no more.
forget(Sid, #gate{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := #waiting{mref = MRef, stage = Stage, user = User, pid = Pid, arms = Arms} = W} ->
            erlang:demonitor(MRef, [flush]),
            [ejabberd_c2s:route(Armed, {mod_bindgate, {disarm, Pid}}) || {Armed, _} <- Arms],
            S1 = drop(W, S),
            case Stage of
                allowed -> next_in_lane(User, S1);
                _ -> S1
            end;
        _ -> S
    end.

%% The client left, or another module refused the bind.
gone(Sid, #gate{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := W} -> told_gone(W, forget(Sid, S));
        _ -> S
    end.

%% bindgate did not answer.
timed_out(Id, #gate{asks = Asks} = S) ->
    case maps:take(Id, Asks) of
        {{Sid, _}, Rest} ->
            S1 = mod_bindgate_link:missed(S#gate{asks = Rest}),
            case S1#gate.waiting of
                #{Sid := #waiting{stage = asking} = W} -> undecided(W, <<"bindgate did not answer in time">>, S1);
                _ -> S1
            end;
        error -> S
    end.

%% Whether the account's earlier answer keeps this one waiting for too long. A stream that is bound and waits for the end of others is waited for: it
%% takes 100 ms to end one, and whoever went by it would be told of before it. But nobody waits for longer than bindgate may take.
overdue(Sid, #gate{waiting = Waiting, timeout = Most} = S) ->
    case Waiting of
        #{Sid := #waiting{stage = queued, user = User, since = Since}} ->
            Now = now_ms(),
            Lane = lists:keysort(#waiting.number, in_lane(User, S)),
            Goes = [W || #waiting{stage = allowed, binding = Binding, since = At} = W <- Lane, Binding =/= undefined orelse Now - At < ?LANE_MS],
            case Now - Since < Most andalso Goes =/= [] of
                true ->
                    erlang:start_timer(?LANE_MS, self(), {lane, Sid}),
                    S;
                false ->
                    First = lists:keyfind(queued, #waiting.stage, Lane),
                    First#waiting.sid =:= Sid orelse erlang:start_timer(?LANE_MS, self(), {lane, Sid}),
                    release(First, S)
            end;
        _ -> S
    end.

%%% what waits, by sid, by user and by the monitor of its stream: no end and no answer looks at all of it

keep(#waiting{sid = Sid, user = User, mref = MRef} = W, #gate{waiting = Waiting, users = Users, held = Held} = S) ->
    case Waiting of
        #{Sid := _} -> S#gate{waiting = Waiting#{Sid => W}};
        _ -> S#gate{waiting = Waiting#{Sid => W}, held = Held#{MRef => Sid}, users = Users#{User => [Sid | maps:get(User, Users, [])]}}
    end.

drop(#waiting{sid = Sid, user = User, mref = MRef}, #gate{waiting = Waiting, users = Users, held = Held} = S) ->
    Others = lists:delete(Sid, maps:get(User, Users, [])),
    S#gate{waiting = maps:remove(Sid, Waiting), held = maps:remove(MRef, Held),
           users = case Others of [] -> maps:remove(User, Users); _ -> Users#{User => Others} end}.

of_user(User, #gate{users = Users, waiting = Waiting}) -> [maps:get(Sid, Waiting) || Sid <- maps:get(User, Users, [])].
