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

%% What mod_bindgate_gate knows. An ask, and what was allowed and is not bound yet.
-record(waiting, {sid, user, resource, pid, mref,
                  from,             % who waits for the answer
                  ask_id, number,   % of the ask
                  stage,            % asking | queued | allowed | unasked
                  since,            % in ms, when it was queued or allowed
                  kicks = [],       % of the answer
                  kick,             % to be carried out when it is bound
                  arms = [],
                  binding}).        % {From, Record, sids that it waits for}

-record(gate, {host, component, timeout, on_failure, mode, epoch, ledger,
                seq = 0,
                adopting = #{},     % pid → session: those of before whose streams have not shown themselves yet
                mute = #{},         % pid → sid: those that did not in time
                conn,               % the component's stream: {pid, monitor}
                record,             % names the database of the bindgate that has agreed
                replaced,           % that of the one whose place this connection took
                ready = new,        % new | false: not all sessions of before are known yet | true
                greeted = false, agreed = false, hello_id, hello_timer,
                misses = 0, open_until = 0, trial_until = 0,
                lasting,            % why we decide alone, logged once
                count = 0,
                asks = #{},         % IQ id → {sid, timer}
                waiting = #{},      % sid → #waiting{}
                users = #{},        % user → sids that wait
                held = #{},         % monitor → sid that waits
                kicking = #{},      % sid → {kick, [IQ], timer}
                probes = #{},       % reference → {IQ, [sid], verdicts, timer}
                unbound = #{},      % pid → {user, client id, monitor}: authenticated
                strangers = false}).

