-- Runs Lua that the process which started this Prosody posts to /kit with the word it put into the configuration. Not on a signal: 0.12 runs what it does on one
-- between any two instructions of whatever runs just then, and a timer that is set while another is being set leaves util.timer broken.
module:set_global();

local word = module:get_option_string("kit_control_word");
local ready = module:get_option_string("kit_control_ready");
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

local function run(source)
	local chunk, err = load(source, "=request", "t", env);
	if not chunk then return 500, err; end
	local ok, ret = xpcall(chunk, traceback);
	return ok and 200 or 500, tostring(ret);
end

-- The answer is given from a timer: the code that is run is not in a coroutine, as an operator's is not.
local function on_post(event)
	local request, response = event.request, event.response;
	if request.headers.authorization ~= word then return 403; end
	module:add_timer(0, function ()
		local status, text = run(request.body);
		response.status_code = status;
		response:send(text);
	end);
	return true;
end

module:depends("http");
module:provides("http", { default_path = "/kit"; route = { POST = on_post } });

-- The ports take connections before the event loop runs: "ready" says that it does.
module:hook("server-started", function ()
	module:add_timer(0.01, function ()
		io.open(ready, "w"):close();
	end);
end);
