module:log("info", "loaded");
