%%% Another module that has its say after the gate's: it refuses the resource "refused", holds "slow…" until go/1 of their host, and refuses
%%% "slow-refused" after that.
-module(mod_bindgate_late).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_doc/0]).
-export([c2s_handle_recv/3, c2s_handle_bind/1, bind/2, held/1, go/1]).

-include("xmpp.hrl").

start(Host, _) ->
    ejabberd_hooks:add(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 15), % the gate module's bind/2 is the outer one
    ejabberd_hooks:add(c2s_handle_bind, Host, ?MODULE, c2s_handle_bind, 300),
    ok.

stop(Host) ->
    ejabberd_hooks:delete(c2s_handle_recv, Host, ?MODULE, c2s_handle_recv, 15),
    ejabberd_hooks:delete(c2s_handle_bind, Host, ?MODULE, c2s_handle_bind, 300),
    ok.

reload(_, _, _) -> ok.
depends(_, _) -> [].
mod_options(_) -> [].
mod_doc() -> #{}.

c2s_handle_recv(#{stream_state := wait_for_bind, mod := Mod} = State, El, #iq{type = set}) ->
    Resource = fxml:get_path_s(El, [{elem, <<"bind">>}, {elem, <<"resource">>}, cdata]),
    case not erlang:function_exported(ejabberd_c2s, c2s_handle_bind, 1) andalso re:run(Resource, "^slow|refused$", [{capture, none}]) of
        match -> State#{mod => ?MODULE, late_mod => Mod};
        _ -> State
    end;
c2s_handle_recv(State, _, _) -> State.

%% Until 25.02: the gate module's bind/2 calls this one instead of ejabberd_c2s:bind/2.
bind(Resource, #{late_mod := Mod} = State0) ->
    State = maps:remove(late_mod, State0#{mod => Mod}),
    case say(Resource, State) of
        ok -> Mod:bind(Resource, State);
        Error -> {error, Error, State}
    end.

c2s_handle_bind({Resource, {ok, State}}) ->
    case say(Resource, State) of
        ok -> {Resource, {ok, State}};
        Error -> {Resource, {error, Error, State}}
    end;
c2s_handle_bind(Acc) -> Acc.

say(<<"slow", _/binary>> = Resource, #{lserver := Host}) ->
    Name = list_to_atom(prefix(Host) ++ pid_to_list(self())),
    register(Name, self()),
    receive late_go -> ok end,
    unregister(Name),
    case Resource of
        <<"slow-refused">> -> refusal();
        _ -> ok
    end;
say(<<"refused">>, _) -> refusal();
say(_, _) -> ok.

prefix(Host) -> "late_" ++ binary_to_list(Host) ++ "_".

refusal() -> xmpp:err_not_allowed(<<"by another module">>, <<"en">>).

names(Host) -> [Name || Name <- registered(), lists:prefix(prefix(Host), atom_to_list(Name))].

held(Host) -> length(names(Host)).

go(Host) -> [Name ! late_go || Name <- names(Host)].
