%%% What tests need inside an ejabberd. As an HTTP handler it evaluates Erlang. As a module of a host it reads the id of a client's
%%% installation from the bind request, <client xmlns='urn:bindgate:kit' id='…'/>, and leaves it where SASL2 (XEP-0388) would, which
%%% ejabberd 23.01 has not.
-module(mod_bindgate_kit).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0]).
-export([process/2, c2s_handle_recv/3, sessions/1]).

-include("xmpp.hrl").
-include("ejabberd_http.hrl").
-include("ejabberd_sm.hrl").

start(Host, _) -> ejabberd_hooks:add(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 10).

stop(Host) -> ejabberd_hooks:delete(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 10).

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

c2s_handle_recv(#{stream_state := wait_for_bind} = State, El, #iq{type = set}) ->
    case fxml:get_path_s(El, [{elem, <<"bind">>}, {elem, <<"client">>}, {attr, <<"id">>}]) of
        <<>> -> State;
        Id -> State#{sasl2_ua_id => Id}
    end;
c2s_handle_recv(State, _, _) -> State.

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
