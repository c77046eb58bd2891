%% A session of the host. Times are the node's monotonic clock in microseconds.
-record(row, {sid :: binary(),
              user :: binary(),
              resource :: binary(),
              pid :: pid(),
              mref :: reference() | undefined,
              bound_at :: integer(),
              input :: atomics:atomics_ref(), % when the client was last heard
              hibernating = false :: boolean(),
              ip, secure = false, transport, client_id, client, lang, made = false,
              bucket, mark}).
