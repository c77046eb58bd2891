-- Logs in by the password "pw", by a token of mod_tokenauth, or by one of the stand-in of mod_sasl2_fast. "what#id" logs in with a
-- SASL2 user-agent id, as SASL2 would.
local new_sasl = require "util.sasl".new;
local tokenauth = module:depends("tokenauth");

local provider = {};

function provider.test_password() return true; end
function provider.user_exists() return true; end
function provider.users() return pairs({}); end
function provider.set_password() return true; end
function provider.create_user() return true; end
function provider.delete_user() return true; end

function provider.get_sasl_handler()
	return new_sasl(module.host, {
		plain_test = function (sasl, user, password)
			local what, id = password:match("^([^#]*)#?(.*)$");
			sasl.kit_client_id = id ~= "" and id or nil;
			local info = tokenauth.get_token_info(what);
			local mod_fast = prosody.hosts[module.host].modules.sasl2_fast;
			local ok = what == "pw" or info and info.jid == user.."@"..module.host or mod_fast and mod_fast.is_valid(user, id, what);
			return ok or false, true;
		end;
	});
end

module:hook("authentication-success", function (event)
	local sasl = event.session.sasl_handler;
	if sasl then event.session.client_id = sasl.kit_client_id; end
end, 1000);

module:provides("auth", provider);
