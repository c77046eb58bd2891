-- Runs commands that the process which started this Prosody leaves in a private directory: request.lua is run on SIGHUP
-- (config-reloaded) and its result is written to reply.<n>.
module:set_global();

local dir = module:get_option_string("kit_control_dir");
local traceback = debug.traceback;

pcall(function ()
	local pposix = require "util.pposix";
	local _, _, hard = pposix.getrlimit("NOFILE");
	pposix.setrlimit("NOFILE", hard, hard);
end);

local env = setmetatable({
	modulemanager = require "core.modulemanager";
	sessionmanager = require "core.sessionmanager";
	prosody = prosody;
	st = require "util.stanza";
}, { __index = _G });

local function run()
	local f = io.open(dir.."/request.lua");
	if not f then return; end
	local source = f:read("*a");
	f:close();
	os.remove(dir.."/request.lua");
	local n = source:match("^%-%- (%d+)\n");
	local chunk, err = load(source, "=request", "t", env);
	local status, result = "error", err;
	if chunk then
		local ok, ret = xpcall(chunk, traceback);
		status, result = ok and "ok" or "error", ret;
	end
	local out = io.open(dir.."/reply.tmp", "w");
	out:write(status, "\n", tostring(result));
	out:close();
	os.rename(dir.."/reply.tmp", dir.."/reply."..n);
end

module:hook("config-reloaded", function () module:add_timer(0, run); end);

-- The ports take connections before the event loop runs and signals are handled: "ready" says that both is so.
module:hook("server-started", function ()
	module:add_timer(0.01, function ()
		io.open(dir.."/ready", "w"):close();
	end);
end);
