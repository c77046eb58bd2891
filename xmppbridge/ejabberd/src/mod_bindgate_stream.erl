%%% What happens in the process of a client's stream: it is held while bindgate is asked, shows signs of life, and is ended.
%%%
%%% The stream's own record is the map under the key bindgate of its state, which ejabberd hands on when a session is resumed
%%% in another process: sid, ask_id (of the present attempt), bound_at (once bound), input (when the client was last heard: a
%%% counter that the ledger's process reads), and what is told of the client.
-module(mod_bindgate_stream).

-export([request/3, bind2_request/3, bind2_resource/2, user_agent/2, heard/1, ask/2, opened/1, moved/2, resumed/1, pending/1, info/2, terminated/2, authenticated/2]).
-export([transport_of/1, bound_at/1, new_input/0, is_replaced/1]).

-include("xmpp.hrl").
-include("logger.hrl").

-define(ALIVE(Ref), {mod_bindgate, {verdict, Ref, alive}}).

%%% the bind request

%% What only the request shows: its language, the takeover token, and whether the client names a resource.
request(State, El, #iq{lang = Lang}) ->
    Bind = fxml:get_subtag(El, <<"bind">>),
    Named = case fxml:get_subtag(Bind, <<"resource">>) of
                #xmlel{} = R -> fxml:get_tag_cdata(R) =/= <<>>;
                false -> false
            end,
    Token = case mod_bindgate_wire:child(<<"takeover">>, Bind) of
                undefined -> undefined;
                Takeover -> mod_bindgate_wire:clean(mod_bindgate_wire:attr(<<"token">>, Takeover), 512)
            end,
    State#{bindgate_request => #{lang => Lang, token => Token, named => Named}}.

%% The same of a bind within the authentication. What names the resource is its tag.
bind2_request(Tag, Els, State) ->
    Token = case [T || #xmlel{name = <<"takeover">>} = T <- Els, fxml:get_tag_attr_s(<<"xmlns">>, T) =:= mod_bindgate_wire:ns()] of
                [Takeover | _] -> mod_bindgate_wire:clean(mod_bindgate_wire:attr(<<"token">>, Takeover), 512);
                [] -> undefined
            end,
    State#{bindgate_request => #{lang => <<>>, token => Token, named => is_binary(Tag) andalso Tag =/= <<>>}}.

%% What ejabberd makes of the tag and the user-agent's id (xmpp_stream_in, process_bind2). Without them it makes a random resource, which
%% is known only when it is bound.
bind2_resource(Tag, #{sasl2_ua_id := Id, user := User, server := Server}) when is_binary(Tag), Tag =/= <<>>, is_binary(Id) ->
    Hash = binary:replace(base64:encode(crypto:hash(sha, [<<"salt">>, User, Server, Id])), [<<"+">>, <<"/">>], <<"-">>),
    <<Tag/binary, $., (binary:part(Hash, 1, 10))/binary>>;
bind2_resource(_, _) -> <<>>.

%% The client's name for itself in its SASL2 request (XEP-0388); ejabberd keeps the id alone.
user_agent(State, El) ->
    case mod_bindgate_wire:clean(fxml:get_path_s(El, [{elem, <<"user-agent">>}, {elem, <<"software">>}, cdata]), 200) of
        undefined -> State;
        Software -> State#{bindgate => (maps:get(bindgate, State, #{}))#{client => Software}}
    end.

%% Asks about a bind and waits. Resource is <<>> if the server has to make one.
-spec ask(binary(), map()) -> {in, binary(), map()} | {out, stanza_error(), map()}.
ask(Resource0, #{lserver := Host} = State0) ->
    Request = maps:get(bindgate_request, State0, #{lang => <<>>, token => undefined, named => Resource0 =/= <<>>}),
    Resource = case jid:resourceprep(Resource0) of
                   R when is_binary(R), R =/= <<>> -> R;
                   _ -> mod_bindgate_wire:new_id()
               end,
    Named = maps:get(named, Request) andalso Resource0 =/= <<>>,
    Record = record(State0, Request#{named => Named}),
    State = (maps:remove(bindgate_request, State0))#{bindgate => Record},
    case mod_bindgate_gate:ask(Host, Record#{resource => Resource, pid => self()}) of
        {in, AskId, Goes, Arms} ->
            case Goes andalso has_left(State) of
                true ->
                    mod_bindgate_gate:gone(Host, maps:get(sid, Record)),
                    {out, xmpp:err_recipient_unavailable(), State};
                false ->
                    [ejabberd_c2s:route(Pid, {mod_bindgate, {arm, self(), Kick}}) || {Pid, Kick} <- Arms],
                    %% Read after the bind: were we bound?
                    self() ! {mod_bindgate, {bound, AskId, [Pid || {Pid, _} <- Arms]}},
                    {in, Resource, State#{bindgate => Record#{ask_id => AskId}}}
            end;
        {out, #{hold_ms := Ms} = Denial} ->
            receive after Ms -> ok end,
            {out, mod_bindgate_wire:stanza_error(Denial, maps:get(lang, Record)), State}
    end.

record(#{ip := {IP, _}, lserver := Host, user := User} = State, #{lang := IQLang, token := Token, named := Named}) ->
    Old = maps:get(bindgate, State, #{}),
    Lang = case IQLang of <<>> -> maps:get(lang, State, <<>>); _ -> IQLang end,
    {Transport, Secure} = transport(State),
    #{sid => case Old of #{sid := Sid} -> Sid; _ -> mod_bindgate_wire:new_id() end,
      user => (jid:make(User, Host))#jid.luser,
      ip => mod_bindgate_wire:clean(iolist_to_binary(misc:ip_to_list(IP)), 64),
      secure => Secure, transport => Transport,
      client_id => client_id(State, Old),
      client => maps:get(client, Old, undefined),
      lang => mod_bindgate_wire:clean(Lang, 64),
      takeover => Token, named => Named}.

%% ejabberd forgets the SASL2 user-agent (XEP-0388) when the client is in; authenticated/2 has kept it.
client_id(State, Old) ->
    case maps:get(sasl2_ua_id, State, undefined) of
        Id when is_binary(Id) -> mod_bindgate_wire:clean(Id, 128);
        _ -> maps:get(client_id, Old, undefined)
    end.

%% The transport, and whether it is known to be encrypted. A hibernating session has no socket, but what it was bound by.
transport(#{socket := _} = State) -> transport_of(xmpp_stream_in:get_transport(State));
transport(State) -> transport_of(maps:get(conn, State, tcp)).

transport_of(Word) ->
    case Word of
        c2s_tls -> {<<"tcp">>, true};
        c2s_compressed_tls -> {<<"tcp">>, true};
        tls -> {<<"tcp">>, true};
        tls_zlib -> {<<"tcp">>, true};
        http_bind -> {<<"bosh">>, false};
        websocket -> {<<"websocket">>, false};
        _ -> {<<"tcp">>, false}
    end.

%% While a bind is held nothing is read: whether the client is still there is known to the system, if it has a socket of its own, else
%% the word of the process that has comes by a message. Messages are put back.
has_left(#{socket_monitor := Monitor}) ->
    {links, Links} = process_info(self(), links),
    case [Port || Port <- Links, is_port(Port), is_closed(Port)] of
        [] -> has_heard_of_end(Monitor, case lists:any(fun is_port/1, Links) of true -> 0; false -> 5 end);
        _ -> true
    end;
has_left(_) -> true.

%% TCP_INFO of Linux begins with the state of the connection; 1: established.
is_closed(Port) ->
    case os:type() =:= {unix, linux} andalso inet:getopts(Port, [{raw, 6, 11, 1}]) of
        {ok, [{raw, 6, 11, <<State, _/binary>>}]} -> State =/= 1;
        _ -> false
    end.

has_heard_of_end(Monitor, Ms) ->
    receive
        {tcp_closed, _} = End -> self() ! End, true;
        {tcp_error, _, _} = End -> self() ! End, true;
        {'DOWN', Monitor, _, _, _} = End -> self() ! End, true;
        {'$gen_event', closed} = End -> self() ! End, true;
        {'$gen_event', {xmlstreamend, _}} = End -> self() ! End, true
    after Ms -> false
    end.

%%% the session's life

%% The session is open, the client has not read its result: those that go for it go now, and it is told.
opened(#{lserver := Host, jid := #jid{lresource = Resource}} = State) ->
    Record0 = case State of
                  #{bindgate := #{ask_id := _} = R} -> R;
                  _ -> record(State, maps:get(bindgate_request, State, #{lang => <<>>, token => undefined, named => true}))
              end,
    Record = Record0#{bound_at => erlang:monotonic_time(microsecond), input => new_input(), resource => Resource},
    mod_bindgate_gate:bound(Host, Record#{pid => self()}),
    (maps:remove(bindgate_request, State))#{bindgate => maps:without([ask_id, takeover], Record)}.

new_input() ->
    Input = atomics:new(1, [{signed, true}]),
    atomics:put(Input, 1, erlang:monotonic_time(microsecond)),
    Input.

%% By ejabberd's own sid of a session, on the monotonic clock.
bound_at({Mega, Sec, Micro}) ->
    Age = erlang:system_time(microsecond) - ((Mega * 1000000 + Sec) * 1000000 + Micro),
    erlang:monotonic_time(microsecond) - max(0, Age).

%% A session that was bound before the module was there. What an earlier version of it kept may lack what this one does.
adopt(#{lserver := Host, jid := #jid{lresource = Resource}, sid := {Bound, _}, stream_state := Stage} = State)
  when Stage =:= established; Stage =:= disconnected ->
    Seen = (record(State, #{lang => <<>>, token => undefined, named => true}))#{bound_at => bound_at(Bound), input => new_input(), resource => Resource},
    Record = case State of
                 #{bindgate := #{bound_at := _} = Kept} -> maps:merge(Seen, Kept);
                 _ -> Seen
             end,
    mod_bindgate_gate:adopted(Host, Record#{pid => self(), hibernating => is_pending(State)}),
    State#{bindgate => Record};
adopt(#{lserver := Host} = State) ->
    mod_bindgate_gate:adopted(Host, #{pid => self()}),
    State.

%% A resumption: this stream's process takes a session over from another. Told before the other ends. Of several that do so at once ejabberd would
%% keep the last, whichever of them is the session by our word: those that are not end.
moved(#{lserver := Host} = State, #{bindgate := #{sid := Sid, bound_at := _} = Record, sid := {_, From}} = Old) ->
    {Transport, Secure} = transport(State),
    mod_bindgate_gate:moved(Host, Sid, From, self()) orelse begin self() ! {mod_bindgate, surplus} end,
    maps:merge(State#{bindgate => Record#{transport => Transport, secure => Secure}}, maps:with([bindgate_armed], Old));
moved(State, _) -> State.

resumed(#{lserver := Host, ip := {IP, _}, bindgate := #{sid := Sid, transport := Transport, secure := Secure} = Record} = State) ->
    Address = mod_bindgate_wire:clean(iolist_to_binary(misc:ip_to_list(IP)), 64),
    mod_bindgate_gate:resumed(Host, Sid, Address, Transport, Secure),
    heard(State#{bindgate => Record#{ip => Address}});
resumed(State) -> State.

pending(#{lserver := Host, bindgate := #{sid := Sid, bound_at := _}} = State) ->
    mod_bindgate_gate:hibernates(Host, Sid),
    answer_probes(State, hibernating);
pending(State) -> State.

is_pending(State) -> maps:get(mgmt_state, State, inactive) =:= pending.

%% Runs behind the handler that takes the session from the server's table, and not for a stream whose session goes on elsewhere.
terminated(#{lserver := Host, bindgate := #{sid := Sid, bound_at := _}} = State, Reason) ->
    mod_bindgate_gate:ended(Host, Sid, self(), reason(State, Reason)),
    answer_probes(State, gone);
terminated(State, _) -> State.

reason(#{bindgate_ending := true}, _) -> <<"kick">>;
reason(#{replaced := true}, _) -> <<"replaced">>;
reason(#{mgmt_state := timeout}, _) -> <<"lost">>;
reason(#{stop_reason := {stream, reset}}, _) -> <<"logout">>;
reason(#{stop_reason := {stream, {in, _}}}, _) -> <<"logout">>;
reason(#{stop_reason := {socket, _}}, _) -> <<"lost">>;
reason(#{stop_reason := {tls, _}}, _) -> <<"lost">>;
reason(State, Reason) -> mod_bindgate_wire:clean(iolist_to_binary(ejabberd_c2s:format_reason(State, Reason)), 200).

authenticated(#{lserver := Host} = State, User) ->
    Old = maps:get(bindgate, State, #{}),
    Id = client_id(State, Old),
    mod_bindgate_gate:authenticated(Host, (jid:make(User, Host))#jid.luser, self(), Id),
    case Id of
        undefined -> State;
        _ -> State#{bindgate => Old#{client_id => Id}}
    end.

%%% signs of life

heard(#{bindgate := #{input := Input}} = State) ->
    atomics:put(Input, 1, erlang:monotonic_time(microsecond)),
    case State of
        #{bindgate_probes := _} -> answer_probes(State, alive);
        _ -> State
    end;
heard(State) -> State.

answer_probes(#{bindgate_probes := Probes, lserver := Host, bindgate := #{sid := Sid}} = State, Verdict) ->
    [mod_bindgate_gate:verdict(Host, Probe, Sid, Verdict) || Probe <- Probes],
    maps:remove(bindgate_probes, State);
answer_probes(State, _) -> State.

probe(#{lserver := Host, jid := JID} = State0, Probe) ->
    State = State0#{bindgate_probes => [Probe | maps:get(bindgate_probes, State0, [])]},
    case is_pending(State) of
        true -> answer_probes(State, hibernating);
        false ->
            State1 = case State of
                         #{mgmt_state := active, mgmt_xmlns := NS} -> xmpp_stream_in:send(State, #sm_r{xmlns = NS});
                         _ -> State
                     end,
            ejabberd_c2s:send(State1, #iq{type = get, id = <<"bindgate-", (mod_bindgate_wire:new_id())/binary>>, from = jid:make(Host), to = JID, sub_els = [#ping{}]})
    end.

%%% messages

%% Whether there still is one for whom ejabberd has told this session to go. Both would go, if he was evicted meanwhile.
is_replaced(#{sid := Sid, user := User, lserver := Host, resource := Resource}) ->
    case ejabberd_sm:get_session_sids(User, Host, Resource) of
        [_ | _] = Sids -> lists:max(Sids) =/= Sid;
        [] -> true
    end;
is_replaced(_) -> true.

info(State, {kick, Kick}) ->
    case State of
        #{mgmt_state := resumed} -> State; % the session goes on elsewhere, and its process is told as well
        #{bindgate := #{sid := Sid}} when Sid =:= map_get(sid, Kick) -> kick(State, Kick);
        _ -> State
    end;
info(State, {arm, Newcomer, Kick}) -> State#{bindgate_armed => {Newcomer, Kick}};
info(State, {disarm, Newcomer}) ->
    case State of
        #{bindgate_armed := {Newcomer, _}} -> maps:remove(bindgate_armed, State);
        _ -> State
    end;
info(#{bindgate_armed := {_, Kick}} = State, replaced) -> kick(State, Kick);
info(State, surplus) -> finish(xmpp_stream_in:send(State, xmpp:serr_conflict(<<"Resumed by another stream">>, <<"en">>)), <<"Resumed by another stream">>);
info(#{lserver := Host} = State, {bound, AskId, Armed}) ->
    case State of
        #{bindgate := #{ask_id := AskId, sid := Sid} = Record} ->
            [ejabberd_c2s:route(Pid, {mod_bindgate, {disarm, self()}}) || Pid <- Armed],
            mod_bindgate_gate:gone(Host, Sid),
            State#{bindgate => maps:remove(ask_id, Record)};
        _ -> State
    end;
info(#{bindgate := Record} = State, {sid, Sid}) -> State#{bindgate => Record#{sid => Sid}};
info(State, {probe, Probe}) -> probe(State, Probe);
info(State, adopt) -> adopt(State);
info(State, reset) ->
    case State of
        #{bindgate := #{bound_at := _}} -> State;
        _ -> ejabberd_c2s:send(State, #stream_error{reason = reset, text = [#text{lang = <<"en">>, data = <<"The account's credentials were revoked">>}]})
    end;
info(State, _) -> State.

%% Ends the session here and now: the process is gone when this returns, and with it what could be resumed.
-spec kick(map(), map()) -> no_return().
kick(State, #{text := Text} = Kick) ->
    State1 = xmpp_stream_in:send(State, mod_bindgate_wire:stream_error(Kick)),
    %% A BOSH client that has no request open just now reads why at its next one: its socket outlives the stream until then.
    State2 = case State1 of
                 #{bindgate := #{transport := <<"bosh">>}} -> maps:without([socket, socket_monitor], State1);
                 _ -> State1
             end,
    finish(State2, Text).

finish(State, Text) ->
    Error = #stream_error{reason = conflict, text = [#text{lang = <<"en">>, data = Text} || Text =/= undefined]},
    xmpp_stream_in:stop(State#{bindgate_ending => true, stop_reason => {stream, {out, Error}}}).
