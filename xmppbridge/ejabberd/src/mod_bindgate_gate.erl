%%% One process for each virtual host: all that is said to bindgate leaves here, so events and asks are in order.
%%%
%%% Streams call it (ask, bound, moved, ended) and tell it (resumed, hibernates, verdict, gone). It holds back what has to wait:
%%% an ask until its answer, an answer until the account's earlier one is bound or gone, a bind until those that go for it are
%%% gone, and a kick's result until its session is.
-module(mod_bindgate_gate).
-behaviour(gen_server).

-export([start/1, start_link/2, stop/1, ready/1, configure/1]).
-export([ask/2, bound/2, gone/2, adopted/2, moved/3, resumed/5, hibernates/2, ended/4, verdict/4, authenticated/4]).
-export([connected/2, answer/2, request/2, stranger/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("ejabberd_sm.hrl").
-include("mod_bindgate.hrl").

-define(VERSION, <<"0.1.0">>).
-define(ABILITIES, <<"ask kick probe snapshot mode language hold ended revoke">>).
-define(MISSES_TO_OPEN, 5).
-define(OPEN_MS, 5000).
-define(HELLO_AGAIN_MS, 10000).
-define(HELLO_REFUSED_MS, 60000).
-define(ADOPT_MS, 5000).    % for streams that were there before us to show themselves
-define(LANE_MS, 250).      % an answer waits at most so long for the account's earlier one
-define(FORCE_MS, 2000).    % a session that does not end by itself is ended from outside
-define(PART_SESSIONS, 100).
-define(BUCKETS, 4096).
-define(MOST_PROBES, 50).

%% An ask, and what was allowed and is not bound yet.
-record(waiting, {sid, user, resource, pid, mref,
                  from,             % who waits for the answer
                  ask_id, number,   % of the ask
                  stage,            % asking | queued | allowed | unasked
                  kicks = [],       % of the answer
                  kick,             % to be carried out when it is bound
                  arms = [],
                  binding}).        % {From, Record, sids that it waits for}

-record(state, {host, component, timeout, on_failure, mode, epoch, ledger,
                seq = 0,
                adopting = #{},     % streams of before that have not shown themselves yet
                conn,               % the component's stream: {pid, monitor}
                ready = false, greeted = false, agreed = false, hello_id, hello_timer,
                misses = 0, open_until = 0, trial_until = 0,
                lasting,            % why we decide alone, logged once
                count = 0,
                asks = #{},         % IQ id → {sid, timer}
                waiting = #{},      % sid → #waiting{}
                kicking = #{},      % sid → {kick, [IQ], timer}
                probes = #{},       % reference → {IQ, [sid], verdicts, timer}
                unbound = #{},      % pid → {user, client id, monitor}: authenticated
                strangers = false}).

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

%% Waits as long as bindgate may take, and for what goes before.
ask(Host, Record) ->
    try gen_server:call(proc(Host), {ask, Record}, infinity)
    catch exit:_ -> {in, undefined, false, []} % unloaded
    end.

bound(Host, Record) ->
    try gen_server:call(proc(Host), {bound, Record}, infinity)
    catch exit:_ -> ok
    end.

moved(Host, Sid, Pid) ->
    try gen_server:call(proc(Host), {moved, Sid, Pid}, infinity)
    catch exit:_ -> ok
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
connected(Host, Pid) -> tell(Host, {connected, Pid}).
answer(Host, IQ) -> tell(Host, {answer, IQ}).
request(Host, IQ) -> tell(Host, {request, IQ}).
stranger(Host, From) -> tell(Host, {stranger, From}).

tell(Host, Message) -> gen_server:cast(proc(Host), Message).

%%% life

init([Host]) ->
    process_flag(trap_exit, true),
    {ok, configured(#state{host = Host, epoch = new_id(), mode = load_mode(Host), ledger = mod_bindgate_ledger:new(Host)})}.

configured(#state{host = Host} = S) ->
    [Component, Timeout, OnFailure] = [gen_mod:get_module_opt(Host, mod_bindgate, O) || O <- [component, timeout, on_failure]],
    S#state{component = Component, timeout = Timeout, on_failure = OnFailure}.

new_id() -> binary:replace(binary:replace(base64:encode(crypto:strong_rand_bytes(12)), <<"+">>, <<"-">>, [global]), <<"/">>, <<"_">>, [global]).

handle_call({ask, Record}, From, S) -> {noreply, on_ask(Record, From, S)};
handle_call({bound, Record}, From, S) -> {noreply, on_bound(Record, From, S)};
handle_call({moved, Sid, Pid}, _From, S) -> {reply, ok, on_moved(Sid, Pid, S)};
handle_call({ended, Sid, Pid, Reason}, _From, S) ->
    case mod_bindgate_ledger:find(S#state.ledger, Sid) of
        #row{pid = Pid} = Row -> {reply, ok, leave(Row, Reason, S)};
        _ -> {reply, ok, S}
    end;
handle_call(configure, _From, #state{component = Old} = S0) ->
    S = configured(S0),
    {reply, ok, case S of
                    #state{component = Old} -> greet(S);
                    _ -> find_component(disconnected(S))
                end};
handle_call(_, _, S) -> {reply, {error, unknown}, S}.

handle_cast(ready, S) -> {noreply, adopt(S)};
handle_cast({gone, Sid}, S) -> {noreply, on_gone(Sid, S)};
handle_cast({adopted, Record}, S) -> {noreply, on_adopted(Record, S)};
handle_cast({resumed, Sid, IP, Transport, Secure}, S) -> {noreply, on_resumed(Sid, IP, Transport, Secure, S)};
handle_cast({hibernates, Sid}, S) -> {noreply, on_hibernates(Sid, S)};
handle_cast({verdict, Probe, Sid, Verdict}, S) -> {noreply, settle(Probe, Sid, Verdict, S)};
handle_cast({authenticated, User, Pid, ClientId}, S) ->
    S1 = bound_no_more(Pid, S),
    {noreply, S1#state{unbound = (S1#state.unbound)#{Pid => {User, ClientId, erlang:monitor(process, Pid)}}}};
handle_cast({connected, Pid}, S) -> {noreply, on_connected(Pid, S)};
handle_cast({answer, IQ}, S) -> {noreply, on_answer(IQ, S)};
handle_cast({request, IQ}, S) -> {noreply, on_request(IQ, S)};
handle_cast({stranger, From}, #state{strangers = Logged} = S) ->
    Logged orelse ?WARNING_MSG("bindgate: ~ts asked for what only ~ts may ask, and was refused; said once", [jid:encode(From), S#state.component]),
    {noreply, S#state{strangers = true}};
handle_cast(_, S) -> {noreply, S}.

handle_info({'DOWN', MRef, _, Pid, _}, #state{conn = {Pid, MRef}} = S) -> {noreply, disconnected(S)};
handle_info({'DOWN', MRef, _, Pid, _}, S) -> {noreply, on_down(MRef, Pid, S)};
handle_info({timeout, T, Message}, S) -> {noreply, on_timer(T, Message, S)};
handle_info(_, S) -> {noreply, S}.

%% Everything that waits goes on by the failure policy, and is told before this load ends.
terminate(_, S0) ->
    S = fail_asks(<<"the module was unloaded">>, S0#state{agreed = false}),
    maps:foreach(fun(_, {IQ, Sids, Verdicts, _}) -> send_verdicts(IQ, Sids, Verdicts, S) end, S#state.probes),
    maps:foreach(fun(_, #waiting{stage = queued, from = From, ask_id = AskId}) -> gen_server:reply(From, {in, AskId, false, []});
                    (_, #waiting{binding = {From, _, _}}) -> gen_server:reply(From, ok);
                    (_, _) -> ok
                 end, S#state.waiting).

%%% the sessions that were there before us

adopt(#state{host = Host} = S) ->
    Pids = [Pid || #session{sid = {_, Pid}, usr = {_, Server, _}} <- ejabberd_sm:dirty_get_my_sessions_list(), Server =:= Host],
    [ejabberd_c2s:route(Pid, {mod_bindgate, adopt}) || Pid <- Pids],
    erlang:start_timer(?ADOPT_MS, self(), adopted),
    ready_if_whole(find_component(S#state{adopting = maps:from_keys(Pids, true)})).

on_adopted(#{pid := Pid} = Record, #state{ledger = L, adopting = Adopting} = S0) ->
    S = S0#state{adopting = maps:remove(Pid, Adopting)},
    case Record of
        #{sid := Sid, bound_at := _} ->
            case mod_bindgate_ledger:find(L, Sid) of
                undefined -> mod_bindgate_ledger:enter(L, (row(Record))#row{mref = erlang:monitor(process, Pid)});
                _ -> ok
            end;
        _ -> ok
    end,
    ready_if_whole(S).

ready_if_whole(#state{ready = false, adopting = Adopting} = S) when map_size(Adopting) =:= 0 -> greet(S#state{ready = true});
ready_if_whole(S) -> S.

row(#{sid := Sid, user := User, resource := Resource, pid := Pid, bound_at := At, input := Input} = R) ->
    #row{sid = Sid, user = User, resource = Resource, pid = Pid, bound_at = At, input = Input, hibernating = maps:get(hibernating, R, false),
         ip = maps:get(ip, R), secure = maps:get(secure, R), transport = maps:get(transport, R), client_id = maps:get(client_id, R),
         client = maps:get(client, R), lang = maps:get(lang, R), made = not maps:get(named, R)}.

%%% the component's connection

find_component(#state{component = Domain} = S) ->
    case mod_bindgate:component_pids(Domain) of
        [Pid | _] -> on_connected(Pid, S);
        [] -> S
    end.

on_connected(Pid, #state{conn = {Pid, _}} = S) -> S;
on_connected(Pid, S0) ->
    S = disconnected(S0),
    greet(S#state{conn = {Pid, erlang:monitor(process, Pid)}, misses = 0, trial_until = 0}).

disconnected(#state{conn = undefined} = S) -> S;
disconnected(#state{conn = {_, MRef}} = S) ->
    erlang:demonitor(MRef, [flush]),
    fail_asks(<<"the component's connection ended">>, S#state{conn = undefined, greeted = false, agreed = false, hello_id = undefined}).

greet(#state{conn = undefined} = S) -> S;
greet(#state{ready = false} = S) -> S;
greet(#state{hello_timer = Old} = S0) ->
    cancel(Old),
    Id = <<"bindgate-h", (new_id())/binary>>,
    S = S0#state{greeted = true, agreed = false, hello_id = Id, hello_timer = erlang:start_timer(?HELLO_AGAIN_MS, self(), hello)},
    send_iq(set, Id, hello(S), S),
    S.

hello(#state{} = S) ->
    mod_bindgate_wire:el(<<"hello">>, [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"version">>, <<"1">>}, {<<"module">>, ?VERSION}, {<<"server">>, <<"ejabberd">>},
                                       {<<"server_version">>, mod_bindgate_wire:clean(ejabberd_option:version(), 64)}, {<<"node">>, <<>>},
                                       {<<"epoch">>, S#state.epoch}, {<<"seq">>, int(S#state.seq)},
                                       {<<"sessions">>, int(mod_bindgate_ledger:total(S#state.ledger) + map_size(S#state.adopting))},
                                       {<<"mode">>, S#state.mode}, {<<"on_failure">>, atom_to_binary(S#state.on_failure, latin1)},
                                       {<<"timeout_ms">>, int(S#state.timeout)}, {<<"abilities">>, ?ABILITIES}]).

hello_answer(#iq{type = Type} = IQ, #state{hello_timer = Timer} = S0) ->
    cancel(Timer),
    S = S0#state{hello_id = undefined, hello_timer = undefined},
    Hello = sub_el(<<"hello">>, IQ),
    case Hello =/= undefined andalso re:run(mod_bindgate_wire:attr(<<"version">>, Hello), "^1(\\D|$)", [{capture, none}]) of
        match when Type =:= result ->
            ?INFO_MSG("bindgate ~ts is connected to ~ts, mode ~ts", [mod_bindgate_wire:clean(mod_bindgate_wire:attr(<<"bindgate">>, Hello), 64), S#state.host, S#state.mode]),
            S#state{agreed = true, misses = 0, trial_until = 0};
        _ ->
            ?ERROR_MSG("bindgate refused the hello of ~ts (gate protocol version 1): ~ts", [S#state.host, refusal(IQ, Hello)]),
            S#state{hello_timer = erlang:start_timer(?HELLO_REFUSED_MS, self(), hello)}
    end.

refusal(#iq{type = error} = IQ, _) ->
    try xmpp:get_error(IQ) of
        #stanza_error{reason = Reason, text = Text} -> io_lib:format("~p ~ts", [Reason, xmpp:get_text(Text)]);
        _ -> "an error"
    catch _:_ -> "an error"
    end;
refusal(_, undefined) -> "no hello";
refusal(_, Hello) -> ["wrong version ", mod_bindgate_wire:attr(<<"version">>, Hello)].

%% Whether bindgate can be asked now; if not, why not.
usable(#state{conn = undefined}) -> {false, <<"the component is not connected">>};
usable(#state{agreed = false}) -> {false, <<"the component has not answered hello">>};
usable(#state{misses = Misses, open_until = Open, trial_until = Trial} = S) when Misses >= ?MISSES_TO_OPEN ->
    case now_ms() of
        Now when Now < Open; Now < Trial -> {false, <<"the component does not answer">>};
        Now -> {true, S#state{trial_until = Now + S#state.timeout + 1000}}
    end;
usable(S) -> {true, S}.

%% An error is an answer too, but not the end of a trouble.
answered(Decided, #state{lasting = Lasting} = S) ->
    Decided andalso Lasting =/= undefined andalso ?INFO_MSG("bindgate answers again for ~ts", [S#state.host]),
    S#state{misses = 0, trial_until = 0, lasting = case Decided of true -> undefined; false -> Lasting end}.

missed(#state{misses = N} = S) ->
    S#state{misses = N + 1, trial_until = 0,
            open_until = if N + 1 >= ?MISSES_TO_OPEN -> now_ms() + ?OPEN_MS; true -> S#state.open_until end}.

%% The log hears of a trouble once, and when it is over.
alone(Why, #state{lasting = Why} = S) -> S;
alone(Why, S) ->
    ?WARNING_MSG("logins of ~ts are decided by on_failure: ~ts: ~ts", [S#state.host, S#state.on_failure, Why]),
    S#state{lasting = Why}.

%% Since the node's start: Erlang's own monotonic time may be negative.
now_ms() -> erlang:convert_time_unit(erlang:monotonic_time() - erlang:system_info(start_time), native, millisecond).

send(Packet, #state{conn = {Pid, _}}) -> ejabberd_cluster:send(Pid, {route, Packet});
send(_, _) -> ok.

send_iq(Type, Id, El, #state{host = Host, component = Component} = S) ->
    send(#iq{type = Type, id = Id, from = jid:make(Host), to = jid:make(Component), sub_els = [El]}, S).

%% Counts and sends one event.
event(Kind, Attrs, #state{host = Host, component = Component, seq = N} = S0) ->
    S = S0#state{seq = N + 1},
    S#state.greeted andalso
        send(#message{type = headline, from = jid:make(Host), to = jid:make(Component),
                      sub_els = [mod_bindgate_wire:el(<<"event">>, [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"kind">>, Kind}, {<<"epoch">>, S#state.epoch},
                                                                    {<<"seq">>, int(N + 1)} | Attrs])]}, S),
    S.

int(N) -> integer_to_binary(N).

sub_el(Name, #iq{sub_els = Els}) ->
    case [El || #xmlel{name = N} = El <- Els, N =:= Name, mod_bindgate_wire:attr(<<"xmlns">>, El) =:= mod_bindgate_wire:ns()] of
        [El | _] -> El;
        [] -> undefined
    end.

cancel(undefined) -> ok;
cancel(Timer) -> erlang:cancel_timer(Timer).

%%% asks

on_ask(Record, From, #state{mode = <<"off">>} = S) ->
    gen_server:reply(From, {in, undefined, false, []}),
    forget(maps:get(sid, Record), S);
on_ask(#{sid := Sid, user := User, resource := Resource, pid := Pid} = Record, From, S0) ->
    S1 = forget(Sid, S0),
    case usable(S1) of
        {false, Why} -> by_policy(From, Why, S1);
        {true, #state{count = N} = S2} ->
            Id = <<"bindgate-a", (S2#state.epoch)/binary, $-, (int(N + 1))/binary>>,
            AskId = <<(S2#state.epoch)/binary, $-, (int(N + 1))/binary>>,
            {Sessions, More} = mod_bindgate_ledger:listed(S2#state.ledger, User),
            send_iq(get, Id, mod_bindgate_wire:el(<<"ask">>, ask_attrs(Record, AskId, S2) ++ [{<<"more">>, More}], Sessions), S2),
            W = #waiting{sid = Sid, user = User, resource = Resource, pid = Pid, mref = erlang:monitor(process, Pid), from = From,
                         ask_id = AskId, number = N + 1, stage = asking},
            S2#state{count = N + 1, waiting = (S2#state.waiting)#{Sid => W},
                     asks = (S2#state.asks)#{Id => {Sid, erlang:start_timer(S2#state.timeout, self(), {ask, Id})}}}
    end.

ask_attrs(#{named := Named} = R, AskId, S) ->
    [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"ask_id">>, AskId}, {<<"deadline_ms">>, int(S#state.timeout)}, {<<"user">>, maps:get(user, R)},
     {<<"sid">>, maps:get(sid, R)}, {<<"resource">>, maps:get(resource, R)}, {<<"chosen">>, mod_bindgate_wire:flag(Named)}, {<<"ip">>, maps:get(ip, R)},
     {<<"secure">>, mod_bindgate_wire:flag(maps:get(secure, R))}, {<<"transport">>, maps:get(transport, R)}, {<<"client_id">>, maps:get(client_id, R)},
     {<<"client">>, maps:get(client, R)}, {<<"lang">>, maps:get(lang, R)}, {<<"takeover">>, maps:get(takeover, R)}, {<<"epoch">>, S#state.epoch},
     {<<"seq">>, int(S#state.seq)}].

by_policy(From, Why, S0) ->
    S = alone(Why, S0),
    gen_server:reply(From, case lets_in(S) of true -> {in, undefined, false, []}; false -> {out, mod_bindgate_wire:unavailable()} end),
    S.

lets_in(#state{mode = Mode, on_failure = Policy}) -> Mode =/= <<"enforce">> orelse Policy =:= allow.

%% An ask ends undecided.
undecided(#waiting{sid = Sid, from = From} = W, Why, S0) ->
    S = forget(Sid, S0),
    case lets_in(S) of
        true -> by_policy(From, Why, S);
        false -> by_policy(From, Why, told_gone(W, S))
    end.

told_gone(#waiting{user = User, sid = Sid, ask_id = AskId, resource = Resource}, S) ->
    event(<<"gone">>, [{<<"user">>, User}, {<<"sid">>, Sid}, {<<"ask_id">>, AskId}, {<<"resource">>, Resource}], S).

fail_asks(Why, #state{asks = Asks} = S) ->
    maps:fold(fun(_, {Sid, Timer}, S1) ->
                      cancel(Timer),
                      case S1#state.waiting of
                          #{Sid := #waiting{stage = asking} = W} -> undecided(W, Why, S1);
                          _ -> S1
                      end
              end, S#state{asks = #{}}, Asks).

on_answer(#iq{id = Id} = IQ, #state{hello_id = Id} = S) -> hello_answer(IQ, S);
on_answer(#iq{id = Id, type = Type} = IQ, #state{asks = Asks, waiting = Waiting} = S0) ->
    case maps:take(Id, Asks) of
        {{Sid, Timer}, Rest} ->
            cancel(Timer),
            S = answered(Type =:= result, S0#state{asks = Rest}),
            case Waiting of
                #{Sid := #waiting{stage = asking} = W} -> decided(IQ, W, S);
                _ -> S
            end;
        error -> S0 % too late
    end.

decided(#iq{type = error}, W, S) -> undecided(W, <<"bindgate answered with an error">>, S);
decided(IQ, #waiting{sid = Sid, from = From} = W, #state{mode = Mode} = S) ->
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
                  end, mod_bindgate_wire:children(<<"kick">>, Allow)).

%% The binds of an account follow each other in the order of their answers: else the one that goes for the other would be replaced
%% by it if both want one resource.
queue(#waiting{sid = Sid, user = User} = W, #state{waiting = Waiting} = S) ->
    case in_lane(User, S) of
        [] -> release(W, S);
        _ ->
            erlang:start_timer(?LANE_MS, self(), {lane, Sid}),
            S#state{waiting = Waiting#{Sid => W#waiting{stage = queued}}}
    end.

in_lane(User, #state{waiting = Waiting}) -> [W || #waiting{user = U, stage = Stage} = W <- maps:values(Waiting), U =:= User, Stage =:= queued orelse Stage =:= allowed].

next_in_lane(User, S) ->
    Lane = in_lane(User, S),
    case lists:keymember(allowed, #waiting.stage, Lane) of
        false when Lane =/= [] -> release(hd(lists:keysort(#waiting.number, Lane)), S);
        _ -> S
    end.

release(#waiting{sid = Sid, user = User, resource = Resource, from = From, ask_id = AskId, kicks = Kicks} = W, #state{ledger = L} = S) ->
    Arms = [{Pid, K} || #{sid := Other} = K <- Kicks, #row{user = U, resource = R, pid = Pid} <- [mod_bindgate_ledger:find(L, Other)], U =:= User, R =:= Resource],
    gen_server:reply(From, {in, AskId, Kicks =/= [], Arms}),
    S#state{waiting = (S#state.waiting)#{Sid => W#waiting{stage = allowed, arms = Arms}}}.

%% What waits for a sid waits no more.
forget(Sid, #state{waiting = Waiting} = S) ->
    case maps:take(Sid, Waiting) of
        {#waiting{mref = MRef, stage = Stage, user = User, pid = Pid, arms = Arms}, Rest} ->
            erlang:demonitor(MRef, [flush]),
            [ejabberd_c2s:route(Armed, {mod_bindgate, {disarm, Pid}}) || {Armed, _} <- Arms],
            S1 = S#state{waiting = Rest},
            case Stage of
                allowed -> next_in_lane(User, S1);
                _ -> S1
            end;
        error -> S
    end.

%% The client left, or another module refused the bind.
on_gone(Sid, #state{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := W} -> told_gone(W, forget(Sid, S));
        _ -> S
    end.

%%% binds

on_bound(#{sid := Sid, user := User, resource := Resource, pid := Pid} = Record, From, #state{ledger = L} = S0) ->
    S1 = bound_no_more(Pid, S0),
    Kicks = case S1#state.waiting of
                #{Sid := #waiting{stage = allowed, kicks = Ks}} -> Ks;
                _ -> []
            end,
    {Pending, S2} = lists:foldl(fun(#{sid := Other} = K, {Acc, S}) when Other =/= Sid ->
                                        case mod_bindgate_ledger:find(L, Other) of
                                            #row{} = Row -> {[Other | Acc], start_kick(Row, K, undefined, S)};
                                            undefined -> {Acc, element(2, remember(K, S))}
                                        end;
                                   (_, Acc) -> Acc
                                end, {[], S1}, Kicks),
    %% ejabberd ends who had the resource, without waiting for it.
    Replaced = [R || #row{sid = Other, resource = Res} = R <- mod_bindgate_ledger:account(L, User), Res =:= Resource, Other =/= Sid, not lists:member(Other, Pending)],
    S3 = lists:foldl(fun(Row, S) -> start_kick(Row, replaced, undefined, S) end, S2, Replaced),
    W = case S3#state.waiting of
            #{Sid := #waiting{stage = allowed} = Known} -> Known;
            _ -> #waiting{sid = Sid, user = User, resource = Resource, pid = Pid, mref = erlang:monitor(process, Pid), stage = unasked}
        end,
    bind_if_free(W#waiting{binding = {From, Record, Pending ++ [R#row.sid || R <- Replaced]}}, S3).

bind_if_free(#waiting{sid = Sid, binding = {From, Record, []}, ask_id = AskId, stage = Stage, kick = Kick} = W, #state{ledger = L} = S0) ->
    erlang:demonitor(W#waiting.mref, [flush]),
    Pid = maps:get(pid, Record),
    Row = mod_bindgate_ledger:enter(L, (row(Record))#row{mref = erlang:monitor(process, Pid)}),
    More = case Stage of
               allowed -> [{<<"ask_id">>, AskId}];
               _ -> [{<<"takeover">>, maps:get(takeover, Record)}]
           end,
    S1 = event(<<"bind">>, mod_bindgate_ledger:describe(Row, erlang:monotonic_time(microsecond)) ++ More, S0),
    gen_server:reply(From, ok),
    S2 = next_in_lane(W#waiting.user, S1#state{waiting = maps:remove(Sid, S1#state.waiting)}),
    case Kick of
        undefined -> S2;
        _ -> start_kick(Row, Kick, undefined, S2)
    end;
bind_if_free(#waiting{sid = Sid} = W, #state{waiting = Waiting} = S) -> S#state{waiting = Waiting#{Sid => W}}.

bound_no_more(Pid, #state{unbound = Unbound} = S) ->
    case maps:take(Pid, Unbound) of
        {{_, _, MRef}, Rest} ->
            erlang:demonitor(MRef, [flush]),
            S#state{unbound = Rest};
        error -> S
    end.

%%% life of a session

on_moved(Sid, Pid, #state{ledger = L, kicking = Kicking} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{mref = MRef} = Row ->
            erlang:demonitor(MRef, [flush]),
            mod_bindgate_ledger:update(L, Row, Row#row{pid = Pid, mref = erlang:monitor(process, Pid)}),
            case Kicking of
                #{Sid := {#{} = Kick, _, _}} -> ejabberd_c2s:route(Pid, {mod_bindgate, {kick, Kick}});
                _ -> ok
            end,
            bound_no_more(Pid, S);
        undefined -> S
    end.

on_resumed(Sid, IP, Transport, Secure, #state{ledger = L} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{} = Row ->
            mod_bindgate_ledger:update(L, Row, Row#row{hibernating = false, ip = IP, transport = Transport, secure = Secure}),
            event(<<"resume">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"state">>, <<"active">>}, {<<"ip">>, IP},
                                 {<<"secure">>, mod_bindgate_wire:flag(Secure)}, {<<"transport">>, Transport}], S);
        undefined -> S
    end.

on_hibernates(Sid, #state{ledger = L} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{} = Row ->
            mod_bindgate_ledger:update(L, Row, Row#row{hibernating = true}),
            event(<<"hibernate">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"state">>, <<"hibernating">>}], S);
        undefined -> S
    end.

%% A session has ended: out of the ledger, and told. Then whatever waited for it goes on.
leave(#row{sid = Sid, mref = MRef} = Row, Reason, #state{ledger = L, kicking = Kicking} = S0) ->
    erlang:demonitor(MRef, [flush]),
    mod_bindgate_ledger:leave(L, Row),
    S1 = event(<<"unbind">>, [{<<"user">>, Row#row.user}, {<<"sid">>, Sid}, {<<"resource">>, Row#row.resource}, {<<"reason">>, Reason}], S0),
    S2 = settle_all(Sid, gone, S1),
    S3 = case maps:take(Sid, Kicking) of
             {{_, IQs, Timer}, Rest} ->
                 cancel(Timer),
                 [send(xmpp:make_iq_result(IQ), S2) || IQ <- IQs],
                 S2#state{kicking = Rest};
             error -> S2
         end,
    lists:foldl(fun(#waiting{binding = {From, Record, Pending}} = W, S) -> bind_if_free(W#waiting{binding = {From, Record, lists:delete(Sid, Pending)}}, S) end,
                S3, [W || #waiting{binding = {_, _, Pending}} = W <- maps:values(S3#state.waiting), lists:member(Sid, Pending)]).

on_down(MRef, Pid, #state{unbound = Unbound, waiting = Waiting, ledger = L, adopting = Adopting} = S) ->
    case Unbound of
        #{Pid := {_, _, MRef}} -> S#state{unbound = maps:remove(Pid, Unbound)};
        _ ->
            case [Sid || #waiting{sid = Sid, mref = M} <- maps:values(Waiting), M =:= MRef] of
                [Sid] -> on_gone(Sid, S);
                [] ->
                    case mod_bindgate_ledger:by_monitor(L, MRef) of
                        #row{} = Row -> leave(Row, <<"lost">>, S);
                        undefined -> ready_if_whole(S#state{adopting = maps:remove(Pid, Adopting)})
                    end
            end
    end.

%%% kicks

%% Ends a session, or waits for its end by the server (replaced). IQ: whom to tell then.
start_kick(#row{sid = Sid, pid = Pid}, Kick, IQ, #state{kicking = Kicking} = S) ->
    IQs = [IQ || IQ =/= undefined],
    is_map(Kick) andalso ejabberd_c2s:route(Pid, {mod_bindgate, {kick, Kick}}),
    case Kicking of
        #{Sid := {Old, Others, Timer}} -> S#state{kicking = Kicking#{Sid => {if is_map(Kick) -> Kick; true -> Old end, IQs ++ Others, Timer}}};
        _ -> S#state{kicking = Kicking#{Sid => {Kick, IQs, erlang:start_timer(?FORCE_MS, self(), {force, Sid})}}}
    end.

%% Its process hangs, writing to a client that does not read for example.
force(Sid, #state{ledger = L, host = Host} = S) ->
    case mod_bindgate_ledger:find(L, Sid) of
        #row{pid = Pid, user = User, resource = Resource} = Row ->
            exit(Pid, kill),
            [ejabberd_sm:close_session(SM, User, Host, Resource) || {_, P} = SM <- ejabberd_sm:get_session_sids(User, Host, Resource), P =:= Pid],
            leave(Row, case maps:get(Sid, S#state.kicking) of {replaced, _, _} -> <<"replaced">>; _ -> <<"kick">> end, S);
        undefined -> S#state{kicking = maps:remove(Sid, S#state.kicking)}
    end.

%% A session that was allowed and is not bound: the kick is carried out when it is.
remember(#{sid := Sid} = Kick, #state{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := W} -> {true, S#state{waiting = Waiting#{Sid => W#waiting{kick = Kick}}}};
        _ -> {false, S}
    end.

%%% timers

on_timer(_, adopted, S) -> ready_if_whole(S#state{adopting = #{}});
on_timer(T, hello, #state{hello_timer = T} = S) -> greet(S#state{hello_timer = undefined});
on_timer(_, {ask, Id}, #state{asks = Asks} = S) ->
    case maps:take(Id, Asks) of
        {{Sid, _}, Rest} ->
            S1 = missed(S#state{asks = Rest}),
            case S1#state.waiting of
                #{Sid := #waiting{stage = asking} = W} -> undecided(W, <<"bindgate did not answer in time">>, S1);
                _ -> S1
            end;
        error -> S
    end;
on_timer(_, {lane, Sid}, #state{waiting = Waiting} = S) ->
    case Waiting of
        #{Sid := #waiting{stage = queued} = W} -> release(W, S);
        _ -> S
    end;
on_timer(_, {force, Sid}, S) -> force(Sid, S);
on_timer(_, {probe, Probe}, S) -> give_up(Probe, S);
on_timer(_, _, S) -> S.

%%% requests of bindgate

on_request(#iq{type = Type, sub_els = [#xmlel{name = Name} = El]} = IQ, S) ->
    try requested(Type, Name, El, IQ, S)
    catch Class:Reason:Stack ->
            ?ERROR_MSG("bindgate: ~ts failed: ~ts", [Name, misc:format_exception(2, Class, Reason, Stack)]),
            refuse(IQ, wait, 'internal-server-error', <<"the request failed, see the server's log">>, S)
    end;
on_request(IQ, S) -> bad(IQ, <<"no request of the gate protocol">>, S).

refuse(IQ, Type, Condition, Text, S) ->
    send(xmpp:make_error(IQ, #stanza_error{type = Type, reason = Condition, text = [#text{lang = <<"en">>, data = Text}]}), S),
    S.

bad(IQ, Text, S) -> refuse(IQ, modify, 'bad-request', Text, S).

result(IQ, El, S) ->
    send(xmpp:make_iq_result(IQ, El), S),
    S.

requested(get, <<"hello">>, _, IQ, S) -> result(IQ, hello(S), S);
requested(set, <<"kick">>, El, IQ, #state{ledger = L} = S) ->
    case mod_bindgate_wire:kick(El) of
        {error, Wrong} -> bad(IQ, <<"kick: ", Wrong/binary>>, S);
        {ok, #{sid := Sid} = Kick} ->
            case mod_bindgate_ledger:find(L, Sid) of
                #row{} = Row -> start_kick(Row, Kick, IQ, S);
                undefined ->
                    case remember(Kick, S) of
                        {true, S1} -> result(IQ, mod_bindgate_wire:el(<<"kick">>, [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"pending">>, <<"1">>}]), S1);
                        {false, _} -> refuse(IQ, cancel, 'item-not-found', <<"no session has this sid">>, S)
                    end
            end
    end;
requested(set, <<"mode">>, El, IQ, #state{host = Host, mode = Old} = S0) ->
    case mod_bindgate_wire:attr(<<"value">>, El) of
        Mode when Mode =:= <<"enforce">>; Mode =:= <<"observe">>; Mode =:= <<"off">> ->
            Mode =/= Old andalso ?WARNING_MSG("bindgate: the mode of ~ts is now ~ts, was ~ts", [Host, Mode, Old]),
            S = S0#state{mode = Mode},
            case keep_mode(Host, Mode) of
                ok ->
                    send(xmpp:make_iq_result(IQ), S),
                    S;
                {error, Reason} ->
                    ?ERROR_MSG("bindgate: the mode cannot be kept: ~p", [Reason]),
                    refuse(IQ, wait, 'internal-server-error', <<"the mode is set, but cannot be kept over a restart">>, S)
            end;
        _ -> bad(IQ, <<"mode: the attribute value must be enforce, observe or off">>, S0)
    end;
requested(get, <<"probe">>, El, IQ, S) ->
    Timeout = mod_bindgate_wire:whole(mod_bindgate_wire:attr(<<"timeout_ms">>, El), 1, 60000),
    Sids = [mod_bindgate_wire:attr(<<"sid">>, E) || E <- mod_bindgate_wire:children(<<"session">>, El)],
    case lists:member(undefined, Sids) of
        _ when Timeout =:= undefined -> bad(IQ, <<"probe: the attribute timeout_ms must be a whole number from 1 to 60000">>, S);
        true -> bad(IQ, <<"probe: a session has no sid">>, S);
        _ when Sids =:= [] -> bad(IQ, <<"probe: there is no session to probe">>, S);
        _ when length(Sids) > ?MOST_PROBES -> bad(IQ, <<"probe: at most 50 sessions">>, S);
        false -> probe(IQ, Sids, Timeout, S)
    end;
requested(set, <<"revoke">>, El, IQ, #state{host = Host, ledger = L, unbound = Unbound} = S) ->
    case mod_bindgate_revoke:request(Host, El) of
        {ok, User, Means, Revoked} ->
            %% Who has logged in by what is revoked, and is not bound yet, begins anew.
            [ejabberd_c2s:route(Pid, {mod_bindgate, reset}) || {Pid, {U, ClientId, _}} <- maps:to_list(Unbound), U =:= User, Means(ClientId)],
            {Sessions, More} = mod_bindgate_ledger:listed(L, User),
            result(IQ, mod_bindgate_wire:el(<<"revoke">>, [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"epoch">>, S#state.epoch}, {<<"seq">>, int(S#state.seq)},
                                                           {<<"more">>, More}], Revoked ++ Sessions), S);
        {error, Wrong} -> bad(IQ, <<"revoke: ", Wrong/binary>>, S)
    end;
requested(get, <<"snapshot">>, El, IQ, S) ->
    First = mod_bindgate_wire:whole(mod_bindgate_wire:attr(<<"first">>, El), 0, ?BUCKETS - 1),
    Count = First =/= undefined andalso mod_bindgate_wire:whole(mod_bindgate_wire:attr(<<"count">>, El), 1, ?BUCKETS - First),
    Digest = mod_bindgate_wire:attr(<<"digest">>, El),
    case Digest =:= undefined orelse re:run(Digest, "^\\d+-[0-9a-f]{12}$", [{capture, none}]) =:= match of
        _ when First =:= undefined -> bad(IQ, <<"snapshot: the attribute first must be a whole number from 0 to 4095">>, S);
        _ when Count =:= undefined -> bad(IQ, <<"snapshot: the attribute count must be a whole number from 1 to ", (int(?BUCKETS - First))/binary>>, S);
        false -> bad(IQ, <<"snapshot: the attribute digest must be a number, a dash and 12 hexadecimal digits">>, S);
        true -> snapshot(IQ, First, Count, Digest, S)
    end;
requested(Type, Name, _, IQ, S) ->
    bad(IQ, iolist_to_binary(["no request of the gate protocol: ", atom_to_list(Type), " ", mod_bindgate_wire:clean(Name, 64)]), S).

snapshot(IQ, First, Count, Digest, #state{ledger = L} = S) ->
    {Covered, Rows, Same} = case Digest =/= undefined andalso mod_bindgate_ledger:digest(L, First, Count) of
                                Digest -> {Count, [], true};
                                _ ->
                                    {N, Part} = mod_bindgate_ledger:part(L, First, Count, ?PART_SESSIONS),
                                    {N, Part, false}
                            end,
    Now = erlang:monotonic_time(microsecond),
    result(IQ, mod_bindgate_wire:el(<<"snapshot">>,
                                    [{<<"xmlns">>, mod_bindgate_wire:ns()}, {<<"first">>, int(First)}, {<<"count">>, int(Covered)},
                                     {<<"total">>, int(mod_bindgate_ledger:total(L))}, {<<"epoch">>, S#state.epoch}, {<<"seq">>, int(S#state.seq)},
                                     {<<"same">>, mod_bindgate_wire:flag(Same)}],
                                    [mod_bindgate_wire:el(<<"session">>, mod_bindgate_ledger:describe(R, Now)) || R <- Rows]), S).

%%% probes

probe(IQ, Sids, Timeout, #state{ledger = L} = S0) ->
    Probe = make_ref(),
    S = S0#state{probes = (S0#state.probes)#{Probe => {IQ, Sids, #{}, erlang:start_timer(Timeout, self(), {probe, Probe})}}},
    lists:foldl(fun(Sid, S1) ->
                        case mod_bindgate_ledger:find(L, Sid) of
                            undefined -> settle(Probe, Sid, gone, S1);
                            #row{hibernating = true} -> settle(Probe, Sid, hibernating, S1);
                            #row{pid = Pid} ->
                                ejabberd_c2s:route(Pid, {mod_bindgate, {probe, Probe}}),
                                S1
                        end
                end, S, lists:usort(Sids)).

settle(Probe, Sid, Verdict, #state{probes = Probes} = S) ->
    case Probes of
        #{Probe := {_, _, #{Sid := _}, _}} -> S;
        #{Probe := {IQ, Sids, Verdicts, Timer}} ->
            Known = Verdicts#{Sid => Verdict},
            case lists:all(fun(Id) -> is_map_key(Id, Known) end, Sids) of
                true ->
                    cancel(Timer),
                    send_verdicts(IQ, Sids, Known, S),
                    S#state{probes = maps:remove(Probe, Probes)};
                false -> S#state{probes = Probes#{Probe => {IQ, Sids, Known, Timer}}}
            end;
        _ -> S
    end.

settle_all(Sid, Verdict, #state{probes = Probes} = S) ->
    maps:fold(fun(Probe, {_, Sids, _, _}, S1) ->
                      case lists:member(Sid, Sids) of
                          true -> settle(Probe, Sid, Verdict, S1);
                          false -> S1
                      end
              end, S, Probes).

give_up(Probe, #state{probes = Probes} = S) ->
    case maps:take(Probe, Probes) of
        {{IQ, Sids, Verdicts, _}, Rest} ->
            send_verdicts(IQ, Sids, Verdicts, S),
            S#state{probes = Rest};
        error -> S
    end.

send_verdicts(IQ, Sids, Verdicts, S) ->
    result(IQ, mod_bindgate_wire:el(<<"probe">>, [{<<"xmlns">>, mod_bindgate_wire:ns()}],
                                    [mod_bindgate_wire:el(<<"session">>, [{<<"sid">>, Sid}, {<<"verdict">>, atom_to_binary(maps:get(Sid, Verdicts, silent), latin1)}]) || Sid <- Sids]), S).

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
