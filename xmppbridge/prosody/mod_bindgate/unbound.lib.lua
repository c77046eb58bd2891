-- Streams that authenticate and never bind have no time limit in Prosody; here they have one, counted from the last attempt.

local now = require "util.time".now;

return function (gate)
	local limit = gate.unbound_timeout;
	local queue, first, last = {}, 1, 0; -- by the time of entry
	local interval = math.min(5, limit / 4);

	local function enter(session, at)
		last = last + 1;
		queue[last] = { session = session, at = at };
	end

	-- When the session last tried to bind, nil if it never did.
	local function tried_at(session)
		local r = session.bindgate;
		return r and (gate.bind.waits(r) and now() or r.tried_at);
	end

	local function expire()
		local oldest = now() - limit;
		while first <= last and queue[first].at <= oldest do
			local entry = queue[first];
			queue[first], first = nil, first + 1;
			local session = entry.session;
			if not session.destroyed and session.type == "c2s_unbound" and session.close then
				local tried = tried_at(session);
				if tried and tried > entry.at then
					enter(session, tried);
				else
					session:close({ condition = "connection-timeout", text = "No resource was bound" });
				end
			end
		end
		return interval;
	end

	if limit > 0 then
		module:hook("authentication-success", function (event) enter(event.session, now()); end);
		module:add_timer(interval, expire);
	end
end
