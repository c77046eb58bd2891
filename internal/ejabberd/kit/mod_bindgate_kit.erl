%%% What tests need inside an ejabberd. As an HTTP handler it evaluates Erlang. As a module of a host it
%%%
%%%   - reads the id of a client's installation from the bind request, <client xmlns='urn:bindgate:kit' id='…'/>, and leaves it
%%%     where SASL2 (XEP-0388) would, which ejabberd 23.01 has not;
%%%   - has its say after the gate module: it refuses the resource "refused", holds "slow…" until go/0, and refuses
%%%     "slow-refused" after that.
-module(mod_bindgate_kit).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0]).
-export([process/2, c2s_handle_recv/3, c2s_handle_bind/1, bind/2, go/0, sessions/1]).

-include("xmpp.hrl").
-include("ejabberd_http.hrl").
-include("ejabberd_sm.hrl").

start(Host, _) ->
    ejabberd_hooks:add(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 10),
    ejabberd_hooks:add(c2s_handle_bind, Host, ?MODULE, c2s_handle_bind, 300),
    ok.

stop(Host) ->
    ejabberd_hooks:delete(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 10),
    ejabberd_hooks:delete(c2s_handle_bind, Host, ?MODULE, c2s_handle_bind, 300),
    ok.

reload(_, _, _) -> ok.
depends(_, _) -> [].
mod_options(_) -> [].
mod_doc() -> #{}.

process(_, #request{data = Code}) ->
    try
        {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Code)),
        {ok, Exprs} = erl_parse:parse_exprs(Tokens),
        {value, Value, _} = erl_eval:exprs(Exprs, []),
        {200, [], if is_binary(Value) -> Value; true -> iolist_to_binary(io_lib:format("~tp", [Value])) end}
    catch Class:Reason:Stack ->
            {500, [], unicode:characters_to_binary(io_lib:format("~p: ~p ~p", [Class, Reason, Stack]))}
    end.

c2s_handle_recv(#{stream_state := wait_for_bind, mod := Mod} = State0, El, #iq{type = set}) ->
    State = case fxml:get_path_s(El, [{elem, <<"bind">>}, {elem, <<"client">>}, {attr, <<"id">>}]) of
                <<>> -> State0;
                Id -> State0#{sasl2_ua_id => Id}
            end,
    case erlang:function_exported(ejabberd_c2s, c2s_handle_bind, 1) of
        true -> State;
        false ->
            Resource = fxml:get_path_s(El, [{elem, <<"bind">>}, {elem, <<"resource">>}, cdata]),
            case Resource of
                <<"slow", _/binary>> -> State#{mod => ?MODULE, kit_mod => Mod};
                <<"refused">> -> State#{mod => ?MODULE, kit_mod => Mod};
                _ -> State
            end
    end;
c2s_handle_recv(State, _, _) -> State.

%% Until 25.02: the gate module's bind/2 calls this one instead of ejabberd_c2s:bind/2.
bind(Resource, #{kit_mod := Mod} = State0) ->
    State = maps:remove(kit_mod, State0#{mod => Mod}),
    case say(Resource) of
        ok -> Mod:bind(Resource, State);
        Error -> {error, Error, State}
    end.

c2s_handle_bind({Resource, {ok, State}}) ->
    case say(Resource) of
        ok -> {Resource, {ok, State}};
        Error -> {Resource, {error, Error, State}}
    end;
c2s_handle_bind(Acc) -> Acc.

say(<<"slow", _/binary>> = Resource) ->
    Name = list_to_atom("kit_" ++ pid_to_list(self())),
    register(Name, self()),
    receive kit_go -> ok end,
    unregister(Name),
    case Resource of
        <<"slow-refused">> -> refusal();
        _ -> ok
    end;
say(<<"refused">>) -> refusal();
say(_) -> ok.

refusal() -> xmpp:err_not_allowed(<<"by another module">>, <<"en">>).

go() -> [Name ! kit_go || Name <- registered(), lists:prefix("kit_<", atom_to_list(Name))].

%% The host's sessions by ejabberd's own word, with the sid that each stream's process has: user, resource and sid, a line each.
sessions(Host) ->
    iolist_to_binary([[U, $\t, R, $\t, sid(Pid), $\n] || #session{usr = {U, H, R}, sid = {_, Pid}} <- ejabberd_sm:dirty_get_my_sessions_list(), H =:= Host]).

sid(Pid) ->
    try sys:get_state(Pid, 2000) of
        State -> find(State)
    catch _:_ -> "?"
    end.

find(#{bindgate := #{sid := Sid}}) -> Sid;
find(List) when is_list(List) -> case [Sid || Sid <- [find(E) || E <- List], Sid =/= "?"] of [Sid | _] -> Sid; [] -> "?" end;
find(Tuple) when is_tuple(Tuple) -> find(tuple_to_list(Tuple));
find(_) -> "?".
