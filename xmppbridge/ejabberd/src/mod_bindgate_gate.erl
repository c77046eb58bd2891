%%% One process for each virtual host: all that is said to bindgate leaves here, so events and asks are in order.
%%%
%%% Streams call it (ask, bound, moved, ended) and tell it (resumed, hibernates, verdict, gone). It holds back what has to wait:
%%% an ask until its answer, an answer until the account's earlier one is bound or gone, a bind until those that go for it are
%%% gone, and a kick's result until its session is.
-module(mod_bindgate_gate).
-behaviour(gen_server).

-export([start/1, start_link/2, stop/1, ready/1, configure/1]).
-export([ask/2, bound/2, gone/2, adopted/2, moved/4, resumed/5, hibernates/2, ended/4, verdict/4, authenticated/4]).
-export([connected/3, answer/2, request/2, stranger/2]).
-export([start_kick/4, remember/2]). % for requests
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-import(mod_bindgate_wire, [flag/1]).
-import(mod_bindgate_link, [send/2, event/3, cancel/1]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("ejabberd_sm.hrl").
-include("mod_bindgate.hrl").

-define(ADOPT_MS, 2000).    % for streams that were there before us to show themselves
-define(SUCCESSOR_MS, 1000). % for the process that takes the place of one that crashed
-define(FORCE_MS, 1500).    % a session that does not end by itself is ended from outside

%%% API

start(Host) ->
    Proc = proc(Host),
    supervisor:start_child(ejabberd_gen_mod_sup, {Proc, {?MODULE, start_link, [Proc, Host]}, transient, 5000, worker, [?MODULE]}).

start_link(Proc, Host) -> gen_server:start_link({local, Proc}, ?MODULE, [Host], []).

stop(Host) ->
    gen_mod:stop_child(proc(Host)),
    ok.

proc(Host) -> gen_mod:get_module_proc(Host, mod_bindgate).

%% The hooks are in place: whoever is bound from now on is told of.
ready(Host) -> gen_server:cast(proc(Host), ready).
configure(Host) -> gen_server:call(proc(Host), configure).

%% Waits as long as bindgate may take, and for what goes before. Who is caught by the unloading of the module is not asked about; who is by
%% a crash goes by the failure policy.
ask(Host, Record) -> ask(Host, Record, ?SUCCESSOR_MS).

ask(Host, Record, Patience) ->
    try gen_server:call(proc(Host), {ask, Record}, infinity)
    catch exit:{Reason, _} ->
            Started = persistent_term:get({mod_bindgate, Host}, undefined) =:= started,
            if not Started -> {in, undefined, false, []};
               Reason =:= shutdown, Patience > 0; Reason =:= noproc, Patience > 0 -> % it has just ended, and another takes its place
                    timer:sleep(20),
                    ask(Host, Record, Patience - 20);
               true -> error({bindgate_has_crashed, Reason})
            end
    end.

bound(Host, Record) ->
    try gen_server:call(proc(Host), {bound, Record}, infinity)
    catch exit:_ -> ok
    end.

%% Says whether the session was From's to hand over: ejabberd lets several streams resume one session at once.
-spec moved(binary(), binary(), pid(), pid()) -> boolean().
moved(Host, Sid, From, Pid) ->
    try gen_server:call(proc(Host), {moved, Sid, From, Pid}, infinity)
    catch exit:_ -> true
    end.

ended(Host, Sid, Pid, Reason) ->
    try gen_server:call(proc(Host), {ended, Sid, Pid, Reason}, infinity)
    catch exit:_ -> ok
    end.

gone(Host, Sid) -> tell(Host, {gone, Sid}).
adopted(Host, Record) -> tell(Host, {adopted, Record}).
resumed(Host, Sid, IP, Transport, Secure) -> tell(Host, {resumed, Sid, IP, Transport, Secure}).
hibernates(Host, Sid) -> tell(Host, {hibernates, Sid}).
verdict(Host, Probe, Sid, Verdict) -> tell(Host, {verdict, Probe, Sid, Verdict}).
authenticated(Host, User, Pid, ClientId) -> tell(Host, {authenticated, User, Pid, ClientId}).
connected(Host, Pid, Others) -> tell(Host, {connected, Pid, Others}).
answer(Host, IQ) -> tell(Host, {answer, IQ}).
request(Host, IQ) -> tell(Host, {request, IQ}).
stranger(Host, From) -> tell(Host, {stranger, From}).

tell(Host, Message) -> gen_server:cast(proc(Host), Message).

%%% life

init([Host]) ->
    process_flag(trap_exit, true),
    persistent_term:get({mod_bindgate, Host}, undefined) =:= started andalso gen_server:cast(self(), ready),
    {ok, configured(#gate{host = Host, epoch = mod_bindgate_wire:new_id(), mode = mod_bindgate_requests:load_mode(Host), ledger = mod_bindgate_ledger:new(Host)})}.

configured(#gate{host = Host} = S) ->
    [Component, Timeout, OnFailure] = [gen_mod:get_module_opt(Host, mod_bindgate, O) || O <- [component, timeout, on_failure]],
    S#gate{component = Component, timeout = Timeout, on_failure = OnFailure}.

handle_call({ask, Record}, From, S) -> {noreply, mod_bindgate_asks:ask(Record, From, S)};
handle_call({bound, Record}, From, S) -> {noreply, on_bound(Record, From, S)};
handle_call({moved, Sid, Old, Pid}, _From, S0) ->
    {Right, S} = on_moved(Sid, Old, Pid, S0),
    {reply, Right, S};
handle_call({ended, Sid, Pid, Reason}, _From, S) ->
    case mod_bindgate_ledger:find(S#gate.ledger, Sid) of
        #row{pid = Pid} = Row -> {reply, ok, leave(Row, Reason, S)};
        _ -> {reply, ok, S}
    end;
handle_call(configure, _From, #gate{component = Old} = S0) ->
    S = configured(S0),
    {reply, ok, case S of
                    #gate{component = Old} -> mod_bindgate_link:greet(S);
                    _ -> find_component(on_disconnected(S))
                end};
handle_call(_, _, S) -> {reply, {error, unknown}, S}.

handle_cast(ready, S) -> {noreply, adopt(S)};
handle_cast({gone, Sid}, S) -> {noreply, mod_bindgate_asks:gone(Sid, S)};
handle_cast({adopted, Record}, S) -> {noreply, on_adopted(Record, S)};
handle_cast({resumed, Sid, IP, Transport, Secure}, S) -> {noreply, on_resumed(Sid, IP, Transport, Secure, S)};
handle_cast({hibernates, Sid}, S) -> {noreply, on_hibernates(Sid, S)};
handle_cast({verdict, Probe, Sid, Verdict}, S) -> {noreply, mod_bindgate_requests:settle(Probe, Sid, Verdict, S)};
handle_cast({authenticated, User, Pid, ClientId}, S) ->
    S1 = bound_no_more(Pid, S),
    {noreply, S1#gate{unbound = (S1#gate.unbound)#{Pid => {User, ClientId, erlang:monitor(process, Pid)}}}};
handle_cast({connected, Pid, Others}, S) -> {noreply, on_connected(Pid, Others, S)};
handle_cast({answer, IQ}, S) -> {noreply, mod_bindgate_asks:answer(IQ, S)};
handle_cast({request, IQ}, S) -> {noreply, mod_bindgate_requests:handle(IQ, S)};
handle_cast({stranger, From}, #gate{strangers = Logged} = S) ->
    Logged orelse ?WARNING_MSG("bindgate: ~ts asked for what only ~ts may ask, and was refused; said once", [jid:encode(From), S#gate.component]),
    {noreply, S#gate{strangers = true}};
handle_cast(_, S) -> {noreply, S}.

handle_info({'DOWN', MRef, _, Pid, _}, #gate{conn = {Pid, MRef}} = S) -> {noreply, on_disconnected(S)};
handle_info({'DOWN', MRef, _, Pid, _}, S) -> {noreply, on_down(MRef, Pid, S)};
handle_info({timeout, T, Message}, S) -> {noreply, on_timer(T, Message, S)};
handle_info(_, S) -> {noreply, S}.

%% Everything that waits goes on by the failure policy, and is told before this load ends.
terminate(_, S0) ->
    S = mod_bindgate_asks:fail_asks(<<"the module was unloaded">>, S0#gate{agreed = false}),
    mod_bindgate_requests:answer_all(S),
    maps:foreach(fun(_, #waiting{stage = queued, from = From, ask_id = AskId}) -> gen_server:reply(From, {in, AskId, false, []});
                    (_, #waiting{binding = {From, _, _}}) -> gen_server:reply(From, ok);
                    (_, _) -> ok
                 end, S#gate.waiting).

%%% the sessions that were there before us

adopt(#gate{host = Host} = S) ->
    Sessions = [Session || #session{sid = {_, Pid}, usr = {_, Server, _}} = Session <- ejabberd_sm:dirty_get_my_sessions_list(), Server =:= Host, is_process_alive(Pid)],
    [ejabberd_c2s:route(Pid, {mod_bindgate, adopt}) || #session{sid = {_, Pid}} <- Sessions],
    erlang:start_timer(?ADOPT_MS, self(), adopted),
    ready_if_whole(find_component(S#gate{ready = false, adopting = maps:from_list([{Pid, Session} || #session{sid = {_, Pid}} = Session <- Sessions])})).

on_adopted(#{pid := Pid} = Record, #gate{ledger = L, adopting = Adopting, mute = Mute} = S0) ->
    S = S0#gate{adopting = maps:remove(Pid, Adopting), mute = maps:remove(Pid, Mute)},
    case {Record, Mute} of
        {#{bound_at := _}, #{Pid := Sid}} ->
            ejabberd_c2s:route(Pid, {mod_bindgate, {sid, Sid}}),
            Row = mod_bindgate_ledger:find(L, Sid),
            Row =:= undefined orelse mod_bindgate_ledger:update(L, Row, (row(Record#{sid => Sid, bound_at => Row#row.bound_at}))#row{mref = Row#row.mref, bucket = Row#row.bucket});
        {#{bound_at := _, sid := Sid}, _} ->
            case mod_bindgate_ledger:find(L, Sid) of
                undefined -> mod_bindgate_ledger:enter(L, (row(Record))#row{mref = erlang:monitor(process, Pid)});
                _ -> ok
            end;
        _ -> ok
    end,
    ready_if_whole(S).

%% Those that have not shown themselves, because their processes hang, are taken as ejabberd's table has them, and told their sid when
%% they do.
on_mute(#gate{adopting = Adopting} = S) ->
    ready_if_whole(maps:fold(fun enter_mute/3, S#gate{adopting = #{}}, Adopting)).

enter_mute(Pid, #session{sid = {Bound, _}, usr = {User, _, Resource}, info = Info}, #gate{ledger = L, mute = Mute} = S) ->
    Sid = mod_bindgate_wire:new_id(),
    {Transport, Secure} = mod_bindgate_stream:transport_of(proplists:get_value(conn, Info)),
    Address = case proplists:get_value(ip, Info) of
                  {IP, _} -> iolist_to_binary(misc:ip_to_list(IP));
                  _ -> undefined
              end,
    mod_bindgate_ledger:enter(L, #row{sid = Sid, user = User, resource = Resource, pid = Pid, mref = erlang:monitor(process, Pid),
                                      bound_at = mod_bindgate_stream:bound_at(Bound), input = mod_bindgate_stream:new_input(), ip = Address, secure = Secure,
                                      transport = Transport}),
    S#gate{mute = Mute#{Pid => Sid}}.

ready_if_whole(#gate{ready = false, adopting = Adopting} = S) when map_size(Adopting) =:= 0 -> mod_bindgate_link:greet(S#gate{ready = true});
ready_if_whole(S) -> S.

row(#{sid := Sid, user := User, resource := Resource, pid := Pid, bound_at := At, input := Input} = R) ->
    #row{sid = Sid, user = User, resource = Resource, pid = Pid, bound_at = At, input = Input, hibernating = maps:get(hibernating, R, false),
         ip = maps:get(ip, R), secure = maps:get(secure, R), transport = maps:get(transport, R), client_id = maps:get(client_id, R),
         client = maps:get(client, R), lang = maps:get(lang, R), made = not maps:get(named, R)}.

%%% the component

find_component(#gate{component = Domain} = S) ->
    case [Pid || Pid <- mod_bindgate:component_pids(Domain), node(Pid) =:= node()] of % its answers go to this module on its own node
        [Pid | Others] -> on_connected(Pid, Others, S);
        [] -> S
    end.

%% Others: who had the component then. Whose stream has ended is none of them, though we may not have heard of it yet.
on_connected(Pid, _, #gate{conn = {Pid, _}} = S) -> S;
on_connected(Pid, Others, #gate{conn = Conn, record = Record} = S) ->
    Replaced = case Conn of
                   {Old, _} -> case lists:member(Old, Others) of true -> Record; false -> undefined end;
                   undefined -> undefined
               end,
    mod_bindgate_link:connected(Pid, (on_disconnected(S))#gate{replaced = Replaced}).

on_disconnected(#gate{conn = undefined} = S) -> S;
on_disconnected(S) -> mod_bindgate_asks:fail_asks(<<"the component's connection ended">>, mod_bindgate_link:disconnected(S)).

%%% binds

on_bound(#{sid := Sid, user := User, resource := Resource, pid := Pid} = Record, From, #gate{ledger = L} = S0) ->
    S1 = known(Pid, bound_no_more(Pid, S0)),
    Kicks = case S1#gate.waiting of
                #{Sid := #waiting{stage = allowed, kicks = Ks}} -> Ks;
                _ -> []
            end,
    {Pending, S2} = lists:foldl(fun(#{sid := Other} = K, {Acc, S}) when Other =/= Sid ->
                                        case mod_bindgate_ledger:find(L, Other) of
                                            #row{user = User} = Row -> {[Other | Acc], start_kick(Row, K, undefined, S)};
                                            #row{} = Row -> {Acc, start_kick(Row, K, undefined, S)};
                                            undefined -> {Acc, element(2, remember(K, S))}
                                        end;
                                   (_, Acc) -> Acc
                                end, {[], S1}, Kicks),
    %% ejabberd ends who had the resource, without waiting for it.
    Replaced = [R || #row{sid = Other, resource = Res} = R <- mod_bindgate_ledger:account(L, User), Res =:= Resource, Other =/= Sid, not lists:member(Other, Pending)],
    S3 = lists:foldl(fun(Row, S) -> start_kick(Row, replaced, undefined, S) end, S2, Replaced),
    W = case S3#gate.waiting of
            #{Sid := #waiting{stage = allowed} = Known} -> Known;
            _ -> #waiting{sid = Sid, user = User, resource = Resource, pid = Pid, mref = erlang:monitor(process, Pid), stage = unasked}
        end,
    ready_if_whole(bind_if_free(W#waiting{binding = {From, Record, Pending ++ [R#row.sid || R <- Replaced]}}, S3)).

%% A stream that was opened while this module was loaded, and tells of its bind now: ejabberd's table had it already.
known(Pid, #gate{adopting = Adopting, mute = Mute, ledger = L} = S0) ->
    S = S0#gate{adopting = maps:remove(Pid, Adopting)},
    case Mute of
        #{Pid := Sid} ->
            case mod_bindgate_ledger:find(L, Sid) of
                #row{pid = Pid} when is_map_key(Sid, S#gate.kicking) -> force(Sid, S); % by its other sid it would not be ended
                #row{pid = Pid} = Row -> leave(Row, <<"replaced">>, S);
                _ -> S#gate{mute = maps:remove(Pid, Mute)}
            end;
        _ -> S
    end.

bind_if_free(#waiting{binding = {From, Record, []}, ask_id = AskId, stage = Stage, kick = Kick} = W, #gate{ledger = L} = S0) ->
    erlang:demonitor(W#waiting.mref, [flush]),
    Pid = maps:get(pid, Record),
    Row = mod_bindgate_ledger:enter(L, (row(Record))#row{mref = erlang:monitor(process, Pid)}),
    More = case Stage of
               allowed -> [{<<"ask_id">>, AskId}];
               _ -> [{<<"takeover">>, maps:get(takeover, Record)}]
           end,
    S1 = event(<<"bind">>, mod_bindgate_ledger:describe(Row, erlang:monotonic_time(microsecond)) ++ More, S0),
    gen_server:reply(From, ok),
    S2 = mod_bindgate_asks:next_in_lane(W#waiting.user, mod_bindgate_asks:drop(W, S1)),
    case Kick of
        undefined -> S2;
        _ -> start_kick(Row, Kick, undefined, S2)
    end;
bind_if_free(W, S) -> mod_bindgate_asks:keep(W, S).

bound_no_more(Pid, #gate{unbound = Unbound} = S) ->
    case maps:take(Pid, Unbound) of
        {{_, _, MRef}, Rest} ->
            erlang:demonitor(MRef, [flush]),
            S#gate{unbound = Rest};
        error -> S
    end.

%%% life of a session

on_moved(Sid, Old, Pid, #gate{ledger = L, kicking = Kicking, ready = Ready} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{mref = MRef, pid = Old} = Row ->
            erlang:demonitor(MRef, [flush]),
            mod_bindgate_ledger:update(L, Row, Row#row{pid = Pid, mref = erlang:monitor(process, Pid)}),
            case Kicking of
                #{Sid := {#{} = Kick, _, _}} -> ejabberd_c2s:route(Pid, {mod_bindgate, {kick, Kick}});
                _ -> ok
            end,
            {true, bound_no_more(Pid, S)};
        _ -> {Ready =/= true, bound_no_more(Pid, S)} % it has ended, or goes on elsewhere
    end.

on_resumed(Sid, IP, Transport, Secure, #gate{ledger = L} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{} = Row ->
            mod_bindgate_ledger:update(L, Row, Row#row{hibernating = false, ip = IP, transport = Transport, secure = Secure}),
            event(<<"resume">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"state">>, <<"active">>}, {<<"ip">>, IP},
                                 {<<"secure">>, flag(Secure)}, {<<"transport">>, Transport}], S);
        undefined -> S
    end.

on_hibernates(Sid, #gate{ledger = L} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{} = Row ->
            mod_bindgate_ledger:update(L, Row, Row#row{hibernating = true}),
            event(<<"hibernate">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"state">>, <<"hibernating">>}], S);
        undefined -> S
    end.

%% A session has ended: out of the ledger, and told. Then whatever waited for it goes on.
leave(#row{sid = Sid, mref = MRef} = Row, Reason, #gate{ledger = L, kicking = Kicking, mute = Mute} = S0) ->
    erlang:demonitor(MRef, [flush]),
    mod_bindgate_ledger:leave(L, Row),
    S1 = event(<<"unbind">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"reason">>, Reason}],
               S0#gate{mute = maps:remove(Row#row.pid, Mute)}),
    S2 = mod_bindgate_requests:settle_all(Sid, gone, S1),
    S3 = case maps:take(Sid, Kicking) of
             {{_, IQs, Timer}, Rest} ->
                 cancel(Timer),
                 [send(xmpp:make_iq_result(IQ), S2) || IQ <- IQs],
                 S2#gate{kicking = Rest};
             error -> S2
         end,
    lists:foldl(fun(#waiting{binding = {From, Record, Pending}} = W, S) -> bind_if_free(W#waiting{binding = {From, Record, lists:delete(Sid, Pending)}}, S) end,
                S3, [W || #waiting{binding = {_, _, Pending}} = W <- mod_bindgate_asks:of_user(Row#row.user, S3), lists:member(Sid, Pending)]).

on_down(MRef, Pid, #gate{unbound = Unbound, held = Held, ledger = L, adopting = Adopting} = S) ->
    case Unbound of
        #{Pid := {_, _, MRef}} -> S#gate{unbound = maps:remove(Pid, Unbound)};
        _ ->
            case Held of
                #{MRef := Sid} -> mod_bindgate_asks:gone(Sid, S);
                _ ->
                    case mod_bindgate_ledger:by_monitor(L, MRef) of
                        #row{} = Row -> leave(Row, <<"lost">>, S);
                        undefined -> ready_if_whole(S#gate{adopting = maps:remove(Pid, Adopting)})
                    end
            end
    end.

%%% kicks

%% Ends a session, or waits for its end by the server (replaced). IQ: whom to tell then.
start_kick(#row{sid = Sid, pid = Pid}, Kick, IQ, #gate{kicking = Kicking} = S) ->
    IQs = [IQ || IQ =/= undefined],
    is_map(Kick) andalso ejabberd_c2s:route(Pid, {mod_bindgate, {kick, Kick}}),
    case Kicking of
        #{Sid := {Old, Others, Timer}} -> S#gate{kicking = Kicking#{Sid => {if is_map(Kick) -> Kick; true -> Old end, IQs ++ Others, Timer}}};
        _ -> S#gate{kicking = Kicking#{Sid => {Kick, IQs, erlang:start_timer(?FORCE_MS, self(), {force, Sid})}}}
    end.

%% Its process hangs, writing to a client that does not read for example.
force(Sid, #gate{ledger = L, host = Host} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{pid = Pid, user = User, resource = Resource} = Row ->
            exit(Pid, kill),
            [ejabberd_sm:close_session(SM, User, Host, Resource) || {_, P} = SM <- ejabberd_sm:get_session_sids(User, Host, Resource), P =:= Pid],
            leave(Row, case maps:get(Sid, S#gate.kicking) of {replaced, _, _} -> <<"replaced">>; _ -> <<"kick">> end, S);
        undefined -> S#gate{kicking = maps:remove(Sid, S#gate.kicking)}
    end.

%% A session that was allowed and is not bound: the kick is carried out when it is.
remember(#{sid := Sid} = Kick, #gate{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := W} -> {true, mod_bindgate_asks:keep(W#waiting{kick = Kick}, S)};
        _ -> {false, S}
    end.

%%% timers

on_timer(_, adopted, S) -> on_mute(S);
on_timer(T, hello, S) -> mod_bindgate_link:on_hello_timer(T, S);
on_timer(_, {ask, Id}, S) -> mod_bindgate_asks:timed_out(Id, S);
on_timer(_, {lane, Sid}, S) -> mod_bindgate_asks:overdue(Sid, S);
on_timer(_, {force, Sid}, S) -> force(Sid, S);
on_timer(_, {probe, Probe}, S) -> mod_bindgate_requests:give_up(Probe, S);
on_timer(_, _, S) -> S.

