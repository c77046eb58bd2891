%%% The component's connection of one virtual host: whether it is there, whether it has answered hello, what is sent over it, and
%%% the circuit breaker for a peer that takes asks and does not answer. Functions on the state of mod_bindgate_gate.
-module(mod_bindgate_link).

-export([connected/2, disconnected/1, greet/1, hello/1, hello_answer/2, on_hello_timer/2]).
-export([usable/1, answered/2, missed/1, alone/2, send/2, send_iq/4, event/3, cancel/1, now_ms/0]).
-import(mod_bindgate_wire, [el/2, el/3, attr/2, sub_el/2, clean/2, int/1, ns/0]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("mod_bindgate.hrl").

-define(VERSION, <<"0.1.0">>).
-define(ABILITIES, <<"ask kick probe snapshot mode language hold ended revoke">>).
-define(MISSES_TO_OPEN, 5).
-define(OPEN_MS, 5000).
-define(HELLO_AGAIN_MS, 10000).
-define(HELLO_REFUSED_MS, 60000).

%% A component has come.
connected(Pid, S) -> greet(S#gate{conn = {Pid, erlang:monitor(process, Pid)}, misses = 0, trial_until = 0}).

%% It has gone, or another takes its place.
disconnected(#gate{conn = {_, MRef}} = S) ->
    erlang:demonitor(MRef, [flush]),
    S#gate{conn = undefined, record = undefined, greeted = false, agreed = false, hello_id = undefined}.

%% Says hello, if there is somebody and the ledger is whole.
greet(#gate{conn = undefined} = S) -> S;
greet(#gate{ready = Ready} = S) when Ready =/= true -> S;
greet(#gate{hello_timer = Old} = S0) ->
    cancel(Old),
    Id = <<"bindgate-h", (mod_bindgate_wire:new_id())/binary>>,
    S = S0#gate{greeted = true, agreed = false, hello_id = Id, hello_timer = erlang:start_timer(?HELLO_AGAIN_MS, self(), hello)},
    send_iq(set, Id, hello(S), S),
    S.

hello(#gate{} = S) ->
    el(<<"hello">>, [{<<"xmlns">>, ns()}, {<<"version">>, <<"1">>}, {<<"module">>, ?VERSION}, {<<"server">>, <<"ejabberd">>},
                                       {<<"server_version">>, clean(ejabberd_option:version(), 64)}, {<<"nodes">>, int(length(nodes_of_cluster()))},
                                       {<<"epoch">>, S#gate.epoch}, {<<"seq">>, int(S#gate.seq)},
                                       {<<"sessions">>, int(mod_bindgate_ledger:total(S#gate.ledger) + map_size(S#gate.adopting))},
                                       {<<"mode">>, S#gate.mode}, {<<"on_failure">>, atom_to_binary(S#gate.on_failure, latin1)},
                                       {<<"replaced">>, S#gate.replaced}, {<<"timeout_ms">>, int(S#gate.timeout)}, {<<"abilities">>, ?ABILITIES}]).

%% This module knows the sessions of its own node. bindgate tells operators.
nodes_of_cluster() ->
    Nodes = ejabberd_cluster:get_nodes(),
    length(Nodes) > 1 andalso ?ERROR_MSG("bindgate governs the sessions of ~p only, which is one of ~b nodes", [node(), length(Nodes)]),
    Nodes.

hello_answer(#iq{type = Type} = IQ, #gate{hello_timer = Timer} = S0) ->
    cancel(Timer),
    S = S0#gate{hello_id = undefined, hello_timer = undefined},
    Hello = sub_el(<<"hello">>, IQ),
    case re:run(version(Hello), "^1(\\D|$)", [{capture, none}]) of
        match when Type =:= result ->
            ?INFO_MSG("bindgate ~ts is connected to ~ts, mode ~ts", [clean(attr(<<"bindgate">>, Hello), 64), S#gate.host, S#gate.mode]),
            S#gate{agreed = true, record = clean(attr(<<"record">>, Hello), 64), misses = 0, trial_until = 0};
        _ ->
            ?ERROR_MSG("no agreement with bindgate on the hello of ~ts (this module speaks version 1 of the gate protocol): ~ts", [S#gate.host, refusal(IQ, Hello)]),
            S#gate{hello_timer = erlang:start_timer(?HELLO_REFUSED_MS, self(), hello)}
    end.

refusal(#iq{type = error} = IQ, _) ->
    try xmpp:get_error(IQ) of
        #stanza_error{reason = Reason, text = Text} -> io_lib:format("~p ~ts", [Reason, xmpp:get_text(Text)]);
        _ -> "an error"
    catch _:_ -> "an error"
    end;
refusal(_, undefined) -> "no hello";
refusal(_, Hello) -> io_lib:format("it answered in version ~ts; update the older of the two", [clean(version(Hello), 32)]).

version(undefined) -> <<>>;
version(Hello) ->
    case attr(<<"version">>, Hello) of
        undefined -> <<>>;
        Version -> Version
    end.

%% An unanswered hello is repeated, and a refused one later.
on_hello_timer(T, #gate{hello_timer = T} = S) -> greet(S#gate{hello_timer = undefined});
on_hello_timer(_, S) -> S.

%% Whether bindgate can be asked now; if not, why not.
usable(#gate{conn = undefined}) -> {false, <<"the component is not connected">>};
usable(#gate{agreed = false}) -> {false, <<"the component has not answered hello">>};
usable(#gate{misses = Misses, open_until = Open, trial_until = Trial} = S) when Misses >= ?MISSES_TO_OPEN ->
    case now_ms() of
        Now when Now < Open; Now < Trial -> {false, <<"the component does not answer">>};
        Now -> {true, S#gate{trial_until = Now + S#gate.timeout + 1000}}
    end;
usable(S) -> {true, S}.

%% An error is an answer too, but not the end of a trouble.
answered(Decided, #gate{lasting = Lasting} = S) ->
    Decided andalso Lasting =/= undefined andalso ?INFO_MSG("bindgate answers again for ~ts", [S#gate.host]),
    S#gate{misses = 0, trial_until = 0, lasting = case Decided of true -> undefined; false -> Lasting end}.

missed(#gate{misses = N} = S) ->
    S#gate{misses = N + 1, trial_until = 0,
            open_until = if N + 1 >= ?MISSES_TO_OPEN -> now_ms() + ?OPEN_MS; true -> S#gate.open_until end}.

%% The log hears of a trouble once, and when it is over.
alone(Why, #gate{lasting = Why} = S) -> S;
alone(Why, S) ->
    ?WARNING_MSG("logins of ~ts are decided by on_failure: ~ts: ~ts", [S#gate.host, S#gate.on_failure, Why]),
    S#gate{lasting = Why}.

%% Since the node's start: Erlang's own monotonic time may be negative.
now_ms() -> erlang:convert_time_unit(erlang:monotonic_time() - erlang:system_info(start_time), native, millisecond).

send(Packet, #gate{conn = {Pid, _}}) -> ejabberd_cluster:send(Pid, {route, Packet});
send(_, _) -> ok.

send_iq(Type, Id, El, #gate{host = Host, component = Component} = S) ->
    send(#iq{type = Type, id = Id, from = jid:make(Host), to = jid:make(Component), sub_els = [El]}, S).

%% Counts and sends one event.
event(Kind, Attrs, #gate{host = Host, component = Component, seq = N} = S0) ->
    S = S0#gate{seq = N + 1},
    S#gate.greeted andalso
        send(#message{type = headline, from = jid:make(Host), to = jid:make(Component),
                      sub_els = [el(<<"event">>, [{<<"xmlns">>, ns()}, {<<"kind">>, Kind}, {<<"epoch">>, S#gate.epoch},
                                                                    {<<"seq">>, int(N + 1)} | Attrs])]}, S),
    S.

cancel(undefined) -> ok;
cancel(Timer) -> erlang:cancel_timer(Timer).
