%%% Every session of one virtual host on this node, by sid and by bucket, kept right by events, so that nothing ever walks
%%% all sessions. Belongs to one process (mod_bindgate_gate), which alone reads and writes it.
-module(mod_bindgate_ledger).

-export([new/1, enter/2, leave/2, find/2, by_monitor/2, update/3, total/1, account/2, digest/3, part/4, describe/2, listed/2]).

-include("xmpp.hrl").
-include("mod_bindgate.hrl").

-record(ledger, {host :: binary(), rows :: ets:tid(), order :: ets:tid(), buckets :: ets:tid(), monitors :: ets:tid()}).

-define(BUCKETS, 4096).
-define(MOST_LISTED, 50).

new(Host) ->
    #ledger{host = Host, rows = ets:new(rows, [set, private, {keypos, #row.sid}]),
            order = ets:new(order, [ordered_set, private]), buckets = ets:new(buckets, [set, private]),
            monitors = ets:new(monitors, [set, private])}.

%% Enters a session that is not there yet.
enter(#ledger{host = Host} = L, #row{user = User} = Row0) ->
    <<Bucket:12, _/bitstring>> = crypto:hash(sha256, [User, $@, Host]),
    Row = Row0#row{bucket = Bucket, mark = mark(Row0)},
    true = ets:insert_new(L#ledger.rows, Row),
    ets:insert(L#ledger.order, {key(Row)}),
    ets:insert(L#ledger.monitors, {Row#row.mref, Row#row.sid}),
    count(L, Bucket, 1, Row#row.mark),
    Row.

leave(L, #row{sid = Sid, bucket = Bucket, mark = Mark} = Row) ->
    ets:delete(L#ledger.rows, Sid),
    ets:delete(L#ledger.order, key(Row)),
    ets:delete(L#ledger.monitors, Row#row.mref),
    count(L, Bucket, -1, -Mark).

%% Replaces a session's row by one of the same sid, user and age.
update(L, #row{bucket = Bucket, mark = Old, mref = MRef}, Row0) ->
    Row = Row0#row{mark = mark(Row0)},
    ets:insert(L#ledger.rows, Row),
    ets:delete(L#ledger.monitors, MRef),
    ets:insert(L#ledger.monitors, {Row#row.mref, Row#row.sid}),
    count(L, Bucket, 0, Row#row.mark - Old),
    Row.

find(L, Sid) ->
    case ets:lookup(L#ledger.rows, Sid) of
        [Row] -> Row;
        [] -> undefined
    end.

%% The session whose process is monitored so.
by_monitor(L, MRef) ->
    case ets:lookup(L#ledger.monitors, MRef) of
        [{_, Sid}] -> find(L, Sid);
        [] -> undefined
    end.

total(L) -> ets:info(L#ledger.rows, size).

%% The live sessions of an account, oldest first.
account(#ledger{host = Host} = L, User) ->
    <<Bucket:12, _/bitstring>> = crypto:hash(sha256, [User, $@, Host]),
    [find(L, Sid) || [Sid] <- ets:match(L#ledger.order, {{Bucket, User, '_', '$1'}})].

%% Number and sum of all sessions of a range of buckets, as the protocol writes it.
digest(L, First, Count) ->
    {N, Sum} = lists:foldl(fun(B, {N, Sum}) ->
                                   case ets:lookup(L#ledger.buckets, B) of
                                       [{_, N1, Sum1}] -> {N + N1, Sum + Sum1};
                                       [] -> {N, Sum}
                                   end
                           end, {0, 0}, lists:seq(First, First + Count - 1)),
    iolist_to_binary(io_lib:format("~b-~12.16.0b", [N, Sum band 16#ffffffffffff])).

%% The sessions of the buckets from First on, at most Count of them, until there are Most sessions: {buckets covered, rows}.
part(L, First, Count, Most) -> part(L, First, Count, Most, 0, 0, []).

part(L, First, Count, Most, Covered, N, Acc) when Covered < Count, N < Most ->
    case ets:lookup(L#ledger.buckets, First + Covered) of
        [] -> part(L, First, Count, Most, Covered + 1, N, Acc);
        [{Bucket, More, _}] ->
            Rows = [find(L, Sid) || [Sid] <- ets:match(L#ledger.order, {{Bucket, '_', '_', '$1'}})],
            part(L, First, Count, Most, Covered + 1, N + More, [Rows | Acc])
    end;
part(_, _, _, _, Covered, _, Acc) -> {Covered, lists:append(lists:reverse(Acc))}.

%% The live sessions of an account as elements, as many as may be, and whether there are others.
listed(L, User) ->
    Now = erlang:monotonic_time(microsecond),
    Rows = account(L, User),
    {[mod_bindgate_wire:el(<<"session">>, lists:keydelete(<<"user">>, 1, describe(R, Now))) || R <- lists:sublist(Rows, ?MOST_LISTED)],
     mod_bindgate_wire:flag(length(Rows) > ?MOST_LISTED)}.

%% The attributes of a session.
describe(#row{} = R, Now) ->
    [{<<"user">>, R#row.user}, {<<"sid">>, R#row.sid}, {<<"resource">>, R#row.resource}, {<<"state">>, state(R)},
     {<<"age_seconds">>, seconds(Now - R#row.bound_at)}, {<<"idle_seconds">>, seconds(Now - atomics:get(R#row.input, 1))},
     {<<"ip">>, R#row.ip}, {<<"secure">>, mod_bindgate_wire:flag(R#row.secure)}, {<<"transport">>, R#row.transport},
     {<<"client_id">>, R#row.client_id}, {<<"client">>, R#row.client}, {<<"lang">>, R#row.lang}, {<<"made">>, mod_bindgate_wire:flag(R#row.made)}].

seconds(Micros) -> integer_to_binary(max(0, Micros) div 1000000).

state(#row{hibernating = true}) -> <<"hibernating">>;
state(_) -> <<"active">>.

mark(#row{sid = Sid, resource = Resource} = R) ->
    <<Mark:48, _/binary>> = crypto:hash(sha256, [Sid, $\n, Resource, $\n, state(R)]),
    Mark.

key(#row{bucket = Bucket, user = User, bound_at = At, sid = Sid}) -> {Bucket, User, At, Sid}.

count(L, Bucket, N, Mark) ->
    case ets:update_counter(L#ledger.buckets, Bucket, [{2, N}, {3, Mark}], {Bucket, 0, 0}) of
        [0, _] -> ets:delete(L#ledger.buckets, Bucket);
        _ -> ok
    end.
