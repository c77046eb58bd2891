%%% Reading and writing the elements of the gate protocol (PROTOCOL.md).
-module(mod_bindgate_wire).

-export([ns/0, new_id/0, el/2, el/3, attr/2, child/2, children/2, sub_el/2, text/1]).
-export([clean/2, flag/1, int/1, whole/3]).
-export([kick/1, denial/1, unavailable/0, stream_error/1, stanza_error/2]).

-include("xmpp.hrl").

-define(NS, <<"urn:bindgate:1">>).
-define(MOST_HOLD_MS, 4000).

ns() -> ?NS.

%% 120 random bits, [A-Za-z0-9_-].
new_id() ->
    << <<(case C of $+ -> $-; $/ -> $_; _ -> C end)>> || <<C>> <= base64:encode(crypto:strong_rand_bytes(15)) >>.

%% An element of ours. Attributes that are undefined are left out.
el(Name, Attrs) -> el(Name, Attrs, []).

el(Name, Attrs, Children) ->
    #xmlel{name = Name, attrs = [{N, V} || {N, V} <- Attrs, V =/= undefined], children = Children}.

%% An attribute, undefined if it is not there or empty.
attr(Name, #xmlel{attrs = Attrs}) ->
    case lists:keyfind(Name, 1, Attrs) of
        {_, <<>>} -> undefined;
        {_, Value} -> Value;
        false -> undefined
    end.

%% The children of that name in the protocol's namespace: their own, or their parent's.
children(Name, #xmlel{children = Children}) ->
    [E || #xmlel{name = N} = E <- Children, N =:= Name, lists:member(attr(<<"xmlns">>, E), [undefined, ?NS])].

child(Name, El) ->
    case children(Name, El) of
        [E | _] -> E;
        [] -> undefined
    end.

%% The element of ours in an IQ.
sub_el(Name, #iq{sub_els = Els}) ->
    case [El || #xmlel{name = N} = El <- Els, N =:= Name, attr(<<"xmlns">>, El) =:= ?NS] of
        [El | _] -> El;
        [] -> undefined
    end.

text(El) -> fxml:get_tag_cdata(El).

%% What came from outside and goes into an attribute: valid UTF-8 without control characters, at most Max bytes.
clean(undefined, _) -> undefined;
clean(<<>>, _) -> undefined;
clean(Text, Max) when byte_size(Text) > Max ->
    case unicode:characters_to_binary(binary:part(Text, 0, Max)) of
        Cut when is_binary(Cut) -> clean(Cut, Max);
        {_, Cut, _} -> clean(Cut, Max)
    end;
clean(Text, _) ->
    case unicode:characters_to_binary(Text) of
        Text -> << <<(if C < 32; C =:= 127 -> $\s; true -> C end)/utf8>> || <<C/utf8>> <= Text >>;
        _ -> << <<(if C < 32; C > 126 -> $?; true -> C end)>> || <<C>> <= Text >>
    end.

flag(true) -> <<"1">>;
flag(_) -> undefined.

int(N) -> integer_to_binary(N).

%% A whole number in an attribute, undefined if it is none or out of bounds.
whole(Text, Min, Max) when is_binary(Text), byte_size(Text) < 10 ->
    try binary_to_integer(Text) of
        N when N >= Min, N =< Max, binary_part(Text, 0, 1) >= <<"0">> -> N;
        _ -> undefined
    catch error:badarg -> undefined
    end;
whole(_, _, _) -> undefined.

%%% kicks

%% A <kick/> as a map: sid, code, device, platform, at, text, lang.
-spec kick(xmlel()) -> {ok, map()} | {error, binary()}.
kick(El) ->
    Code = attr(<<"code">>, El),
    Known = [undefined, <<"takeover">>, <<"kick">>, <<"rule">>, <<"expired">>, <<"blocked">>],
    case {attr(<<"sid">>, El), lists:member(Code, Known)} of
        {undefined, _} -> {error, <<"the attribute sid is missing">>};
        {_, false} -> {error, <<"the attribute code must be takeover, kick, rule, expired or blocked">>};
        {Sid, true} ->
            {ok, (said(El))#{sid => Sid, code => code(Code), device => clean(attr(<<"device">>, El), 256),
                             platform => clean(attr(<<"platform">>, El), 64), at => clean(attr(<<"at">>, El), 64)}}
    end.

code(undefined) -> <<"kick">>;
code(Code) -> Code.

said(El) ->
    case child(<<"text">>, El) of
        undefined -> #{text => undefined, lang => undefined};
        Text -> #{text => clean(text(Text), 2000), lang => clean(attr(<<"xml:lang">>, Text), 64)}
    end.

%% What an evicted client reads. An element and no record: ejabberd's has no place for <ended/>, and would add a second language.
stream_error(#{text := Text, lang := Lang} = K) ->
    Said = [#xmlel{name = <<"text">>, attrs = [{<<"xmlns">>, ?NS_STREAMS} | [{<<"xml:lang">>, Lang} || Lang =/= undefined]], children = [{xmlcdata, Text}]}
            || Text =/= undefined],
    Ended = el(<<"ended">>, [{<<"xmlns">>, ?NS} | [{atom_to_binary(A, latin1), maps:get(A, K)} || A <- [code, device, platform, at]]]),
    #xmlel{name = <<"stream:error">>, children = [#xmlel{name = <<"conflict">>, attrs = [{<<"xmlns">>, ?NS_STREAMS}]} | Said] ++ [Ended]}.

%%% denials

%% A <deny/> as a map: type, condition, hold_ms, text, lang, and the element <denied/> that the client gets.
denial(El) ->
    Condition = case attr(<<"condition">>, El) of
                    <<"conflict">> -> 'conflict';
                    <<"not-allowed">> -> 'not-allowed';
                    <<"service-unavailable">> -> 'service-unavailable';
                    _ -> 'resource-constraint'
                end,
    Type = case attr(<<"type">>, El) of
               <<"auth">> -> auth;
               <<"cancel">> -> cancel;
               <<"continue">> -> continue;
               <<"modify">> -> modify;
               <<"wait">> -> wait;
               _ when Condition =:= conflict; Condition =:= 'not-allowed' -> cancel;
               _ -> wait
           end,
    Hold = case whole(attr(<<"hold_ms">>, El), 0, 999999999) of
               undefined -> 0;
               Ms -> min(Ms, ?MOST_HOLD_MS)
           end,
    Retry = case whole(attr(<<"retry_after">>, El), 0, 999999999) of
                undefined -> undefined;
                Seconds -> int(Seconds)
            end,
    Denied = el(<<"denied">>, [{<<"xmlns">>, ?NS}, {<<"code">>, clean(attr(<<"code">>, El), 64)}, {<<"retry_after">>, Retry},
                               {<<"token">>, clean(attr(<<"token">>, El), 64)}],
                children(<<"session">>, El)),
    (said(El))#{type => Type, condition => Condition, hold_ms => Hold, denied => Denied}.

%% The failure policy's denial. Its text is ours: bindgate, which has all others, cannot be asked.
unavailable() ->
    #{type => wait, condition => 'service-unavailable', hold_ms => 0, text => unavailable, lang => undefined,
      denied => el(<<"denied">>, [{<<"xmlns">>, ?NS}, {<<"code">>, <<"unavailable">>}])}.

unavailable(Lang) ->
    case string:lowercase(hd(binary:split(<<Lang/binary, $->>, [<<"-">>, <<"_">>]))) of
        <<"ja">> -> {<<"現在ログインを確認できません。しばらくしてからもう一度お試しください。"/utf8>>, <<"ja">>};
        <<"zh">> -> {<<"暂时无法确认登录，请稍后再试。"/utf8>>, <<"zh">>};
        _ -> {<<"Logins cannot be checked at the moment. Please try again later.">>, <<"en">>}
    end.

%% For a stream in that language. All of it goes into sub_els: ejabberd writes these before the condition and the text, and clients take the first element for the condition (RFC 6120 8.3.1).
stanza_error(#{text := unavailable} = Denial, Wanted) ->
    {Text, Lang} = unavailable(case Wanted of undefined -> <<>>; _ -> Wanted end),
    stanza_error(Denial#{text := Text, lang := Lang}, Wanted);
stanza_error(#{type := Type, condition := Condition, text := Text, lang := Lang, denied := Denied}, _) ->
    #stanza_error{type = Type,
                  sub_els = [el(atom_to_binary(Condition, utf8), [{<<"xmlns">>, ?NS_STANZAS}])]
                      ++ [el(<<"text">>, [{<<"xmlns">>, ?NS_STANZAS}, {<<"xml:lang">>, Lang}], [{xmlcdata, Text}]) || Text =/= undefined]
                      ++ [Denied]}.
