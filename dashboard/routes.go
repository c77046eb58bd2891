package dashboard

import "net/http"

// route is an entry of the table of routes.
type route struct {
	method, path string // the path is below Root
	least        Role   // whom it is for; Anyone: who has not logged in, too
	handle       func(*Dashboard, *visit) error
}

// routes are all of them. What a page is about is named by query parameters, never by the path: a JID may have a slash in it, or be "..".
func routes() []route {
	get, post := http.MethodGet, http.MethodPost
	return []route{
		{get, "", Viewer, (*Dashboard).home},
		{get, "/login", Anyone, (*Dashboard).loginForm},
		{post, "/login", Anyone, (*Dashboard).login},
		{get, "/login/provider", Anyone, (*Dashboard).signOn},
		{get, "/login/callback", Anyone, (*Dashboard).signedOn},
		{post, "/logout", Anyone, (*Dashboard).logout},
		{get, "/password", Viewer, (*Dashboard).passwordForm},
		{post, "/password", Viewer, (*Dashboard).changePassword},
		{get, "/logins", Viewer, (*Dashboard).ownLogins},
		{post, "/logins/end", Viewer, (*Dashboard).endOwnLogins},
		{get, "/users", Unlimited, (*Dashboard).users},
		{get, "/users/add", Unlimited, (*Dashboard).addUserForm},
		{post, "/users/add", Unlimited, (*Dashboard).addUser},
		{get, "/users/user", Unlimited, (*Dashboard).oneUser},
		{post, "/users/change", Unlimited, (*Dashboard).changeUser},
		{get, "/users/reset", Unlimited, (*Dashboard).askResetPassword},
		{post, "/users/reset", Unlimited, (*Dashboard).resetPassword},
		{get, "/users/remove", Unlimited, (*Dashboard).askRemoveUser},
		{post, "/users/remove", Unlimited, (*Dashboard).removeUser},
		{post, "/users/logins", Unlimited, (*Dashboard).endUserLogins},
		{post, "/preferences", Anyone, (*Dashboard).prefer},
		{get, "/find", Viewer, (*Dashboard).find},
		{get, "/overview", Viewer, (*Dashboard).overview},
		{get, "/decisions", Viewer, (*Dashboard).decisions},
		{get, "/loops", Viewer, (*Dashboard).loops},
		{post, "/loops/release", Support, (*Dashboard).releaseLoop},
		{get, "/loops/block", Support, (*Dashboard).askBlockLoop},
		{post, "/loops/block", Support, (*Dashboard).blockLoop},
		{get, "/sessions", Viewer, (*Dashboard).sessions},
		{post, "/sessions/columns", Viewer, (*Dashboard).chooseColumns},
		{get, "/sessions/kick", Support, (*Dashboard).askKick},
		{post, "/sessions/kick", Support, (*Dashboard).kickSessions},
		{get, "/sessions/kicked", Viewer, (*Dashboard).kicked},
		{get, "/account", Viewer, (*Dashboard).account},
		{get, "/account/kick", Support, (*Dashboard).askAccountKick},
		{post, "/account/kick", Support, (*Dashboard).kickAccount},
		{get, "/account/release", Support, (*Dashboard).askRelease},
		{post, "/account/release", Support, (*Dashboard).release},
		{post, "/account/grant", Support, (*Dashboard).makeGrant},
		{post, "/account/devices", Admin, (*Dashboard).registerDevice},
		{get, "/account/device", Admin, (*Dashboard).askDevice},
		{post, "/account/device", Admin, (*Dashboard).changeDevice},
		{get, "/account/device/block", Admin, (*Dashboard).askBlock},
		{post, "/account/device/block", Admin, (*Dashboard).blockDevice},
		{get, "/account/device/forget", Admin, (*Dashboard).askForget},
		{post, "/account/device/forget", Admin, (*Dashboard).forgetDevice},
		{post, "/account/group", Admin, (*Dashboard).putGroup},
		{post, "/account/lang", Admin, (*Dashboard).putLanguage},
		{get, "/account/export", Admin, (*Dashboard).exportAccount},
		{get, "/account/erase", Admin, (*Dashboard).askErase},
		{post, "/account/erase", Admin, (*Dashboard).erase},
		{get, "/rules", Viewer, (*Dashboard).rules},
		{get, "/rules/edit", Admin, (*Dashboard).editRule},
		{post, "/rules/edit", Admin, (*Dashboard).changeRows},
		{post, "/rules/review", Admin, (*Dashboard).reviewRule},
		{post, "/rules/save", Admin, (*Dashboard).saveRule},
		{get, "/rules/delete", Admin, (*Dashboard).askDeleteRule},
		{post, "/rules/delete", Admin, (*Dashboard).deleteRule},
		{get, "/rules/effective", Viewer, (*Dashboard).effectiveRule},
		{get, "/rules/domain", Viewer, (*Dashboard).domain},
		{post, "/rules/domain", Admin, (*Dashboard).changeDomain},
		{get, "/rules/group", Viewer, (*Dashboard).group},
		{post, "/rules/group", Admin, (*Dashboard).changeGroup},
		{get, "/rules/platforms", Unlimited, (*Dashboard).platforms},
		{post, "/rules/platforms", Unlimited, (*Dashboard).changePlatforms},
		{get, "/rules/platform", Unlimited, (*Dashboard).editPlatform},
		{post, "/rules/platform", Unlimited, (*Dashboard).changePlatform},
		{get, "/try", Viewer, (*Dashboard).try},
		{post, "/try", Viewer, (*Dashboard).tryLogin},
		{get, "/kicks", Viewer, (*Dashboard).kicks},
		{get, "/kicks/job", Viewer, (*Dashboard).job},
		{post, "/kicks/cancel", Admin, (*Dashboard).cancelJob},
		{get, "/kicks/new", Admin, (*Dashboard).newKick},
		{post, "/kicks/ask", Admin, (*Dashboard).askBulkKick},
		{post, "/kicks/new", Admin, (*Dashboard).kickMany},
		{get, "/audit", Admin, (*Dashboard).audit},
		{get, "/links", Viewer, (*Dashboard).links},
		{get, "/links/mode", Unlimited, (*Dashboard).askMode},
		{post, "/links/mode", Unlimited, (*Dashboard).setMode},
		{get, "/webhooks", Admin, (*Dashboard).webhooks},
		{get, "/webhooks/new", Admin, (*Dashboard).newWebhook},
		{post, "/webhooks/new", Admin, (*Dashboard).createWebhook},
		{get, "/webhooks/hook", Admin, (*Dashboard).webhook},
		{get, "/webhooks/edit", Admin, (*Dashboard).editWebhook},
		{post, "/webhooks/edit", Admin, (*Dashboard).changeWebhook},
		{post, "/webhooks/enable", Admin, (*Dashboard).enableWebhook},
		{post, "/webhooks/test", Admin, (*Dashboard).testWebhook},
		{post, "/webhooks/redeliver", Admin, (*Dashboard).redeliver},
		{get, "/webhooks/rotate", Admin, (*Dashboard).askRotateWebhook},
		{post, "/webhooks/rotate", Admin, (*Dashboard).rotateWebhook},
		{get, "/webhooks/delete", Admin, (*Dashboard).askDeleteWebhook},
		{post, "/webhooks/delete", Admin, (*Dashboard).deleteWebhook},
	}
}

// sections are the entries of the navigation, in their order; those that the user may not see are left out.
var sections = []struct{ name, path, icon string }{
	{"overview", "/overview", "home"},
	{"sessions", "/sessions", "sessions"},
	{"decisions", "/decisions", "decisions"},
	{"loops", "/loops", "loops"},
	{"rules", "/rules", "rules"},
	{"kicks", "/kicks", "kicks"},
	{"audit", "/audit", "audit"},
	{"links", "/links", "links"},
	{"webhooks", "/webhooks", "webhooks"},
	{"users", "/users", "users"},
}

// leastFor is the role that a page needs; false: there is no such page.
func leastFor(path string) (Role, bool) {
	for _, r := range routes() {
		if r.method == http.MethodGet && r.path == path {
			return r.least, true
		}
	}
	return Anyone, false
}
