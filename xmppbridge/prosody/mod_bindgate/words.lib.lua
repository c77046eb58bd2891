-- Text that goes on the wire.

local valid_utf8 = require "util.encodings".utf8.valid;

local words = {};

-- What came from outside and goes into an attribute: valid UTF-8 without control characters, at most max bytes.
function words.clean(text, max)
	if not text or text == "" then return nil; end
	text = tostring(text);
	if #text > max then
		text = text:sub(1, max);
		while #text > 0 and not valid_utf8(text) and #text > max - 4 do
			text = text:sub(1, -2);
		end
	end
	if not valid_utf8(text) then
		text = text:gsub("[\128-\255]", "?");
	end
	return (text:gsub("[%z\1-\31\127]", " "));
end

function words.flag(value)
	return value and "1" or nil;
end

function words.int(number)
	return ("%d"):format(math.floor(number));
end

-- A whole number in an attribute, nil if it is none or out of bounds.
function words.whole(text, min, max)
	if type(text) ~= "string" or not text:match("^%d+$") or #text > 9 then return nil; end
	local n = tonumber(text);
	if n < min or n > max then return nil; end
	return n;
end

local lost = {
	["closed"] = true; ["connection closed"] = true; ["Hibernating too long"] = true; ["read timeout"] = true;
	["timeout"] = true; ["connection timeout"] = true; ["connection-timeout"] = true; ["ping timeout"] = true;
	["Connection timed out"] = true; ["Connection reset by peer"] = true; ["Broken pipe"] = true;
};

-- The reason of an unbind in the protocol's words, from the one that Prosody gives with resource-unbind.
function words.reason(err, session)
	if err == false or err == nil and session.bosh_terminate then
		return "logout";
	elseif err == nil or lost[err] or type(err) == "string" and err:find("^BOSH client silent") then
		return "lost";
	elseif err == "Replaced by new connection" then
		return "replaced";
	end
	return words.clean(err, 200);
end

return words;
