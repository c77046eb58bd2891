-- Another module that has its say after ours: it refuses the resource "refused", holds "slow" until the event late-go is
-- fired, and refuses "slow-refused" after that.
local async = require "util.async";
local waits = {};

module:hook("pre-resource-bind", function (event)
	local resource = event.resource or "";
	if resource:find("^slow") then
		local wait, done = async.waiter();
		waits[#waits + 1] = done;
		wait();
	end
	if resource:find("refused$") then
		event.error = { type = "cancel", condition = "not-allowed", text = "by another module" };
		return false;
	end
end, -200);

module:hook("late-held", function () return #waits; end);

module:hook("late-go", function ()
	local old = waits;
	waits = {};
	for _, done in ipairs(old) do done(); end
end);
