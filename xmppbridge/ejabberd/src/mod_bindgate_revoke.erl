%%% Revoking stored login credentials, so that a kicked client has no way back but the account's password.
%%%
%%%   fast    tokens of mod_auth_fast (XEP-0484, ejabberd 24.12 and newer), kept by device
%%%   oauth   tokens of ejabberd_oauth that log in (X-OAUTH2), which name no device
%%%
%%% What is not loaded or not allowed logs nobody in, and is not spoken of.
-module(mod_bindgate_revoke).

-export([request/2]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("ejabberd_oauth.hrl").

-define(MOST_DEVICES, 32).

%% Carries out a <revoke/>. Returns the user, which client ids are meant, and an element for each kind.
-spec request(binary(), xmlel()) -> {ok, binary(), fun((binary() | undefined) -> boolean()), [xmlel()]} | {error, binary()}.
request(Host, El) ->
    User = mod_bindgate_wire:attr(<<"user">>, El),
    Others = mod_bindgate_wire:attr(<<"others">>, El),
    Ids = [mod_bindgate_wire:attr(<<"client_id">>, D) || D <- mod_bindgate_wire:children(<<"device">>, El)],
    case lists:member(undefined, Ids) of
        _ when User =:= undefined -> {error, <<"the attribute user is missing">>};
        _ when Others =/= undefined, Others =/= <<"0">>, Others =/= <<"1">> -> {error, <<"the attribute others must be 0 or 1">>};
        true -> {error, <<"a device has no client_id">>};
        _ when length(Ids) > ?MOST_DEVICES -> {error, <<"at most 32 devices">>};
        false ->
            Whole = Ids =:= [] andalso Others =/= <<"1">>,
            Means = fun(undefined) -> Whole;
                       (Id) -> Whole orelse lists:member(Id, Ids) =/= (Others =:= <<"1">>)
                    end,
            Done = [{Kind, guarded(Kind, fun() -> F(Host, User, Whole, Others =:= <<"1">>, Ids) end)} || {Kind, F} <- kinds(Host)],
            ?INFO_MSG("bindgate: revoked credentials of ~ts@~ts: ~ts", [mod_bindgate_wire:clean(User, 1023), Host, [[K, $\s, said(R), $\s] || {K, R} <- Done]]),
            {ok, User, Means, [element_of(K, R) || {K, R} <- Done]}
    end.

kinds(Host) ->
    [{<<"fast">>, fun fast/5} || gen_mod:is_loaded(Host, mod_auth_fast)] ++
        [{<<"oauth">>, fun oauth/5} || not lists:member(<<"X-OAUTH2">>, ejabberd_option:disable_sasl_mechanisms(Host)),
                                       ejabberd_auth:auth_modules(Host) =/= [ejabberd_auth_anonymous]].

guarded(Kind, F) ->
    try F()
    catch Class:Reason:Stack ->
            ?ERROR_MSG("bindgate: revoking of ~ts failed: ~ts", [Kind, misc:format_exception(2, Class, Reason, Stack)]),
            {unable, <<"it failed, see the server's log">>}
    end.

said({unable, Why}) -> Why;
said(Count) -> integer_to_binary(Count).

element_of(Kind, {unable, Why}) -> mod_bindgate_wire:el(<<"unable">>, [{<<"kind">>, Kind}, {<<"why">>, Why}]);
element_of(Kind, Count) -> mod_bindgate_wire:el(<<"revoked">>, [{<<"kind">>, Kind}, {<<"count">>, integer_to_binary(Count)}]).

%% mod_auth_fast keeps a present and a next token under the SHA-256 of a client's id. It lists none; its table in Mnesia can be read.
fast(Host, User, Whole, Others, Ids) ->
    Mod = gen_mod:db_mod(Host, mod_auth_fast),
    Named = [crypto:hash(sha256, Id) || Id <- Ids],
    case {Whole orelse Others, Mod} of
        {false, _} -> lists:sum([fast_device(Mod, Host, User, UA) || UA <- Named]);
        {true, mod_auth_fast_mnesia} ->
            Keys = mnesia:dirty_select(mod_auth_fast, [{{mod_auth_fast, {Host, User, '$1'}, '_', '_', '_'}, [], ['$1']}]),
            lists:sum([fast_device(Mod, Host, User, UA) || UA <- lists:usort([UA || <<_, $:, UA/binary>> <- Keys]), Whole orelse not lists:member(UA, Named)]);
        _ -> {unable, <<"its tokens are in an SQL database, where only those of named devices can be revoked">>}
    end.

fast_device(Mod, Host, User, UA) ->
    Valid = length(Mod:get_tokens(Host, User, UA)),
    ok = Mod:del_token(Host, User, UA, current),
    ok = Mod:del_token(Host, User, UA, next),
    Valid.

oauth(Host, User, Whole, _Others, _Ids) ->
    case ejabberd_option:oauth_db_type() of
        mnesia ->
            Now = erlang:system_time(second),
            Tokens = mnesia:dirty_match_object(oauth_token, #oauth_token{us = {User, Host}, _ = '_'}),
            Valid = [T || #oauth_token{token = T, expire = Expire, scope = Scope} <- Tokens, Expire > Now, lists:member(<<"sasl_auth">>, Scope)],
            case Whole of
                true ->
                    [ejabberd_oauth:oauth_revoke_token(T) || T <- Valid],
                    length(Valid);
                false when Valid =:= [] -> 0;
                false -> {unable, <<"its tokens name no device, only the whole account's can be revoked">>}
            end;
        _ -> {unable, <<"its tokens are not in the server's own database">>}
    end.
