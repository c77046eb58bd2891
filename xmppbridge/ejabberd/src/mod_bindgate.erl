%%% mod_bindgate: the gate protocol's server side (urn:bindgate:1, see PROTOCOL.md) for ejabberd 23.01 and newer.
%%%
%%% Before a session binds a resource, bindgate, an external component, is asked; what it answers is carried out here. The
%%% parts:
%%%
%%%   mod_bindgate           options and hooks: what of ejabberd calls us
%%%   mod_bindgate_stream    in the process of a client's stream: the hold on a bind, signs of life, the end
%%%   mod_bindgate_gate      one process for each host: all that is said to bindgate, in order; binds, kicks, sessions' lives
%%%   mod_bindgate_asks      what becomes of an ask
%%%   mod_bindgate_requests  what bindgate asks of us
%%%   mod_bindgate_link      the component's connection: hello, the circuit breaker, events
%%%   mod_bindgate_ledger    the host's sessions, by sid and by bucket
%%%   mod_bindgate_revoke    revoking stored login credentials
%%%   mod_bindgate_wire      elements of the protocol
-module(mod_bindgate).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([bind/2]). % a callback of xmpp_stream_in
-export([c2s_handle_recv/3, c2s_handle_cdata/2, c2s_handle_bind/1, c2s_handle_sasl2_inline/1, c2s_session_opened/1, c2s_copy_session/2, c2s_session_resumed/1, c2s_session_pending/1,
         c2s_handle_info/2, c2s_terminated/2, c2s_auth_result/3, component_connected/1, component_send_packet/1]).
-export([component_pids/1]).
-export([process_iq/1, decode_iq_subel/1]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("ejabberd_router.hrl").

-define(NS_BIND_REQUEST, <<"urn:ietf:params:xml:ns:xmpp-bind">>).

%%% options

mod_options(Host) ->
    [{component, <<"bindgate.", Host/binary>>}, {timeout, timer:seconds(5)}, {on_failure, allow}].

mod_opt_type(component) -> econf:host();
mod_opt_type(timeout) ->
    fun(Seconds) when is_integer(Seconds) -> bounded(timer:seconds(Seconds));
       (Value) -> bounded((econf:timeout(millisecond))(Value))
    end;
mod_opt_type(on_failure) -> econf:enum([allow, deny]).

bounded(Ms) when Ms >= 100, Ms =< 60000 -> Ms;
bounded(_) -> econf:fail({bad_timeout, "between 100 ms and 60 seconds"}).

mod_doc() ->
    #{desc => "Asks bindgate, an external component, before each login.",
      opts => [{component, #{value => "Host", desc => "The component that is asked, and the only one that is obeyed."}},
               {timeout, #{value => "timeout()", desc => "How long a login waits for an answer."}},
               {on_failure, #{value => "allow | deny", desc => "What happens to logins that cannot be decided."}}]}.

depends(_Host, _Opts) -> [].

%%% life

start(Host, _Opts) ->
    load_parts(),
    case mod_bindgate_gate:start(Host) of
        {ok, _} ->
            [ejabberd_hooks:add(Hook, Host, ?MODULE, F, Priority) || {Hook, F, Priority} <- hooks()],
            [ejabberd_hooks:add(Hook, ?MODULE, F, Priority) || {Hook, F, Priority} <- global_hooks()],
            gen_iq_handler:add_iq_handler(ejabberd_local, Host, mod_bindgate_wire:ns(), ?MODULE, process_iq),
            mod_bindgate_gate:ready(Host),
            persistent_term:put({?MODULE, Host}, started); % for a process that takes the place of a crashed one
        Error -> Error
    end.

stop(Host) ->
    persistent_term:erase({?MODULE, Host}),
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, mod_bindgate_wire:ns()),
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, F, Priority) || {Hook, F, Priority} <- hooks()],
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true -> ok;
        false -> [ejabberd_hooks:delete(Hook, ?MODULE, F, Priority) || {Hook, F, Priority} <- global_hooks()]
    end,
    mod_bindgate_gate:stop(Host).

reload(Host, _NewOpts, _OldOpts) -> mod_bindgate_gate:configure(Host).

%% An upgrade by ejabberdctl replaces this file in memory and leaves the other parts as they were.
load_parts() ->
    [begin code:purge(Part), {module, Part} = code:load_file(Part) end
     || Part <- [mod_bindgate_wire, mod_bindgate_ledger, mod_bindgate_link, mod_bindgate_stream, mod_bindgate_revoke, mod_bindgate_requests, mod_bindgate_asks,
                 mod_bindgate_gate], code:module_status(Part) =:= modified].

hooks() ->
    [{c2s_handle_recv, c2s_handle_recv, 30},
     {c2s_handle_cdata, c2s_handle_cdata, 30},
     {c2s_session_opened, c2s_session_opened, 20},
     {c2s_copy_session, c2s_copy_session, 20},
     {c2s_session_resumed, c2s_session_resumed, 20},
     {c2s_session_pending, c2s_session_pending, 20},
     {c2s_handle_info, c2s_handle_info, 20},    % before ejabberd_sm (50), which ends who is replaced
     {c2s_terminated, c2s_terminated, 200},     % behind ejabberd_c2s (100), which takes the session from the table
     {c2s_auth_result, c2s_auth_result, 200},
     {c2s_handle_sasl2_inline, c2s_handle_sasl2_inline, 200} % behind mod_stream_mgmt (50), which resumes sessions there
     | [{c2s_handle_bind, c2s_handle_bind, 200} || has_bind_hook()]]. % behind ejabberd_c2s (100), which makes resources

global_hooks() -> [{component_connected, component_connected, 50}, {component_send_packet, component_send_packet, 20}].

%% From 25.03 on a hook can refuse a bind. Before, the callback itself is taken for one bind.
has_bind_hook() ->
    {module, _} = code:ensure_loaded(ejabberd_c2s),
    erlang:function_exported(ejabberd_c2s, c2s_handle_bind, 1).

%%% the hold on a bind

c2s_handle_recv(#{stream_state := wait_for_bind, xmlns := ?NS_CLIENT, mod := Mod} = State, El, #iq{type = set, sub_els = [#xmlel{name = <<"bind">>} = Sub]} = IQ) ->
    case xmpp:get_ns(Sub) =:= ?NS_BIND_REQUEST andalso is_valid(IQ) of
        true ->
            State1 = mod_bindgate_stream:request(State, El, IQ),
            case has_bind_hook() of
                true -> State1;
                false -> State1#{mod => ?MODULE, bindgate_mod => Mod}
            end;
        false -> State
    end;
c2s_handle_recv(State, #xmlel{name = <<"authenticate">>} = El, _) -> mod_bindgate_stream:user_agent(State, El);
c2s_handle_recv(State, _, _) -> mod_bindgate_stream:heard(State).

%% What cannot be read never gets to bind/2.
is_valid(IQ) ->
    try xmpp:try_subtag(IQ, #bind{}) of
        #bind{} -> true;
        _ -> false
    catch _:{xmpp_codec, _} -> false
    end.

c2s_handle_cdata(State, _) -> mod_bindgate_stream:heard(State).

%% Until 25.02: called once instead of ejabberd_c2s:bind/2.
bind(Wanted, #{bindgate_mod := Mod} = State0) ->
    State = maps:remove(bindgate_mod, State0#{mod => Mod}),
    case ask(Wanted, State) of
        {in, Resource, State1} -> Mod:bind(Resource, State1);
        {out, Error, State1} -> {error, Error, State1}
    end.

%% From 25.03 on.
c2s_handle_bind({Wanted, {ok, #{bindgate_asked := true} = State}}) -> {Wanted, {ok, maps:remove(bindgate_asked, State)}}; % by c2s_handle_sasl2_inline
c2s_handle_bind({Wanted, {ok, State}}) ->
    case ask(Wanted, State) of
        {in, Resource, State1} -> {Resource, {ok, State1}};
        {out, Error, State1} -> {Wanted, {error, Error, State1}}
    end;
c2s_handle_bind(Acc) -> Acc.

%% A bind within the authentication (XEP-0386; ejabberd 24.02 and newer, whose users have a resource from it). ejabberd forgets why it was refused:
%% so it is asked about here, and taken out of the request. The client may bind then as clients without XEP-0386 do.
c2s_handle_sasl2_inline({State, Els, Results} = Acc) when is_list(Els) ->
    case lists:keyfind(bind2_bind, 1, Els) of
        {bind2_bind, Tag, _, SubEls} ->
            Resource = mod_bindgate_stream:bind2_resource(Tag, State),
            case ask(Resource, mod_bindgate_stream:bind2_request(Tag, SubEls, State)) of
                {in, _, State1} -> {State1#{bindgate_asked => has_bind_hook()}, Els, Results};
                {out, Error, State1} ->
                    Failed = #xmlel{name = <<"failed">>, attrs = [{<<"xmlns">>, <<"urn:xmpp:bind:0">>}], children = [xmpp:encode(Error, ?NS_CLIENT)]},
                    {State1, lists:keydelete(bind2_bind, 1, Els), [Failed | Results]}
            end;
        false -> Acc
    end;
c2s_handle_sasl2_inline(Acc) -> Acc.

%% An error of ours must never keep the server from doing its work.
ask(Wanted, #{lserver := Host} = State) ->
    try mod_bindgate_stream:ask(Wanted, State)
    catch Class:Reason:Stack ->
            ?ERROR_MSG("bindgate: a bind failed: ~ts", [misc:format_exception(2, Class, Reason, Stack)]),
            case gen_mod:get_module_opt(Host, ?MODULE, on_failure) of
                allow -> {in, Wanted, State};
                deny -> {out, mod_bindgate_wire:stanza_error(mod_bindgate_wire:unavailable(), maps:get(lang, State, undefined)), State}
            end
    end.

%%% hooks of a stream

c2s_session_opened(State) -> mod_bindgate_stream:opened(State).
c2s_copy_session(State, Old) -> mod_bindgate_stream:moved(State, Old).
c2s_session_resumed(State) -> mod_bindgate_stream:resumed(State).
c2s_session_pending(State) -> mod_bindgate_stream:pending(State).
c2s_terminated(State, Reason) -> mod_bindgate_stream:terminated(State, Reason).

c2s_handle_info(State, {?MODULE, Message}) -> {stop, mod_bindgate_stream:info(State, Message)};
c2s_handle_info(State, replaced) ->
    case mod_bindgate_stream:is_replaced(State) of
        true -> mod_bindgate_stream:info(State, replaced);
        false -> {stop, State}
    end;
c2s_handle_info(State, _) -> State.

c2s_auth_result(State, true, User) -> mod_bindgate_stream:authenticated(State, User);
c2s_auth_result(State, _, _) -> State.

%%% the component

%% Runs in the process of a component's stream. ejabberd would share what is sent among all connections of a component: an older
%% one ends, for its owner may be gone without a word.
component_connected(Domain) ->
    case gates_of(Domain) of
        [] -> ok;
        Hosts ->
            Others = lists:delete(self(), component_pids(Domain)),
            [mod_bindgate_gate:connected(Host, self(), Others) || Host <- Hosts], % first: they tell whose place it takes
            [begin
                 ejabberd_router:unregister_route(Domain, Pid),
                 ejabberd_service:send(Pid, xmpp:serr_conflict(<<"Replaced by new connection">>, <<"en">>))
             end || Pid <- Others],
            ok
    end.

%% The processes of the component's streams, on all nodes.
component_pids(Domain) ->
    case (ejabberd_router:get_backend()):find_routes(Domain) of
        {ok, Routes} -> [Pid || #route{pid = Pid} <- Routes, is_pid(Pid)];
        _ -> []
    end.

gates_of(Domain) ->
    [Host || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE), gen_mod:get_module_opt(Host, ?MODULE, component) =:= Domain].

%% ejabberd lets a component speak for all hosts of its listener, or for anybody (check_from: false). For bindgate speaks only who has logged in by its name.
component_send_packet({#iq{from = #jid{lserver = Domain} = From, to = #jid{lserver = Host}}, #{remote_server := Name} = State} = Acc) when Name =/= Domain ->
    case gates_of(Domain) of
        [] -> Acc;
        Hosts ->
            Told = case lists:member(Host, Hosts) of true -> Host; false -> hd(Hosts) end,
            mod_bindgate_gate:stranger(Told, jid:make(Name)),
            ?DEBUG("bindgate: ~ts wrote as ~ts: dropped", [Name, jid:encode(From)]),
            {drop, State}
    end;
%% Answers to what we asked; ejabberd would drop them.
component_send_packet({#iq{type = Type, id = <<"bindgate-", _/binary>>, from = From, to = #jid{luser = <<>>, lserver = Host, lresource = <<>>}} = IQ, State})
  when Type =:= result; Type =:= error ->
    case gen_mod:is_loaded(Host, ?MODULE) andalso is_component(From, Host) of
        true -> mod_bindgate_gate:answer(Host, IQ);
        false -> ok
    end,
    {drop, State};
%% Its requests. They would come to process_iq by themselves, but for mod_privilege of 24.10 and newer: loaded for any host, it drops what any component asks a server.
component_send_packet({#iq{type = Type, from = From, to = #jid{luser = <<>>, lserver = Host, lresource = <<>>}, sub_els = [#xmlel{} = El]} = IQ, State} = Acc)
  when Type =:= get; Type =:= set ->
    case fxml:get_tag_attr_s(<<"xmlns">>, El) =:= mod_bindgate_wire:ns() andalso gen_mod:is_loaded(Host, ?MODULE) andalso is_component(From, Host) of
        true ->
            mod_bindgate_gate:request(Host, IQ),
            {drop, State};
        false -> Acc
    end;
component_send_packet(Acc) -> Acc.

is_component(#jid{luser = <<>>, lresource = <<>>, lserver = Domain}, Host) -> gen_mod:get_module_opt(Host, ?MODULE, component) =:= Domain;
is_component(_, _) -> false.

decode_iq_subel(El) -> El.

process_iq(#iq{from = From, to = #jid{lserver = Host}} = IQ) ->
    case is_component(From, Host) of
        true ->
            mod_bindgate_gate:request(Host, IQ),
            ignore;
        false ->
            mod_bindgate_gate:stranger(Host, From),
            Text = <<"only the component ", (gen_mod:get_module_opt(Host, ?MODULE, component))/binary, " may ask">>,
            xmpp:make_error(IQ, #stanza_error{type = auth, reason = forbidden, text = [#text{lang = <<"en">>, data = Text}]})
    end.
