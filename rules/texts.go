package rules

// shippedTexts are code → language → wordings, read only. The first wording whose values are all known is said; the last one needs
// none.
var shippedTexts = map[string]map[string][]string{
	"takeover": {
		"en": {
			"You have been signed out: this account was signed in on another device, {device} ({platform}), at {time}.",
			"You have been signed out: this account was signed in on another device, {device}, at {time}.",
			"You have been signed out: this account was signed in on another device ({platform}) at {time}.",
			"You have been signed out: this account was signed in on another device at {time}.",
			"You have been signed out: this account was signed in on another device.",
		},
		"ja": {
			"別の端末「{device}」（{platform}）でこのアカウントへのログインがあったため、ログアウトしました（{time}）。",
			"別の端末「{device}」でこのアカウントへのログインがあったため、ログアウトしました（{time}）。",
			"別の端末（{platform}）でこのアカウントへのログインがあったため、ログアウトしました（{time}）。",
			"別の端末でこのアカウントへのログインがあったため、ログアウトしました（{time}）。",
			"別の端末でこのアカウントへのログインがあったため、ログアウトしました。",
		},
		"zh": {
			"您的账号已于 {time} 在另一台设备“{device}”（{platform}）上登录，本设备已下线。",
			"您的账号已于 {time} 在另一台设备“{device}”上登录，本设备已下线。",
			"您的账号已于 {time} 在另一台设备（{platform}）上登录，本设备已下线。",
			"您的账号已于 {time} 在另一台设备上登录，本设备已下线。",
			"您的账号已在另一台设备上登录，本设备已下线。",
		},
	},
	"kick": {
		"en": {"This device has been signed out remotely."},
		"ja": {"この端末は遠隔操作によりログアウトされました。"},
		"zh": {"本设备已被远程下线。"},
	},
	"rule": {
		"en": {"You have been signed out because of the service's rules on signed-in devices."},
		"ja": {"サービスのログイン端末に関するルールにより、ログアウトしました。"},
		"zh": {"根据本服务的设备登录规则，本设备已下线。"},
	},
	"expired": {
		"en": {"Your session has expired. Please sign in again."},
		"ja": {"セッションの有効期限が切れました。もう一度ログインしてください。"},
		"zh": {"登录已过期，请重新登录。"},
	},
	"blocked": {
		"en": {"This device has been blocked from this account."},
		"ja": {"この端末からこのアカウントへのアクセスは禁止されています。"},
		"zh": {"本设备已被禁止登录此账号。"},
	},
	"limit": {
		"en": {"Too many devices are signed in to this account. Sign out on one of them, then try again."},
		"ja": {"このアカウントにログインできる端末数の上限に達しています。いずれかの端末でログアウトしてから、もう一度お試しください。"},
		"zh": {"此账号的登录设备数量已达上限。请先在其中一台设备上退出登录，然后重试。"},
	},
	"same_resource": {
		"en": {"Another device is already signed in to this account under the same name."},
		"ja": {"同じ名前の別の端末が、すでにこのアカウントにログインしています。"},
		"zh": {"已有同名的另一台设备登录了此账号。"},
	},
	"cooldown": {
		"en": {
			"This account was signed in on another device, or signed out here, a moment ago. Please try again in {seconds} s.",
			"This account was signed in on another device, or signed out here, a moment ago. Please try again later.",
		},
		"ja": {
			"このアカウントは、先ほど別の端末でログインされたか、この端末からログアウトされました。{seconds}秒後にもう一度お試しください。",
			"このアカウントは、先ほど別の端末でログインされたか、この端末からログアウトされました。しばらくしてからもう一度お試しください。",
		},
		"zh": {
			"此账号刚刚在另一台设备上登录，或已在本设备下线，请在 {seconds} 秒后重试。",
			"此账号刚刚在另一台设备上登录，或已在本设备下线，请稍后重试。",
		},
	},
	"frozen": {
		"en": {
			"Two devices keep signing each other out, so signing in is paused. Please try again in {seconds} s.",
			"Two devices keep signing each other out, so signing in is paused. Please try again later.",
		},
		"ja": {
			"2台の端末が互いにログアウトさせ合っているため、ログインを一時停止しています。{seconds}秒後にもう一度お試しください。",
			"2台の端末が互いにログアウトさせ合っているため、ログインを一時停止しています。しばらくしてからもう一度お試しください。",
		},
		"zh": {
			"两台设备反复将对方挤下线，登录已暂停，请在 {seconds} 秒后重试。",
			"两台设备反复将对方挤下线，登录已暂停，请稍后重试。",
		},
	},
	"grant_required": {
		"en": {"Signing in on a new device needs permission. Please sign in through the app first."},
		"ja": {"新しい端末でのログインには許可が必要です。先にアプリからログインしてください。"},
		"zh": {"在新设备上登录需要授权，请先通过应用登录。"},
	},
	"condition": {
		"en": {"The service's rules do not allow signing in now."},
		"ja": {"サービスのルールにより、現在ログインできません。"},
		"zh": {"根据本服务的规则，现在无法登录。"},
	},
	"choose": {
		"en": {"Too many devices are signed in to this account. Choose one to sign out."},
		"ja": {"このアカウントにログインできる端末数の上限に達しています。ログアウトする端末を選んでください。"},
		"zh": {"此账号的登录设备数量已达上限，请选择要下线的设备。"},
	},
	"new_login": {
		"en": {
			"Your account was signed in on another device, {device} ({platform}), at {time}. If that was not you, sign that device out and change your password.",
			"Your account was signed in on another device, {device}, at {time}. If that was not you, sign that device out and change your password.",
			"Your account was signed in on another device ({platform}) at {time}. If that was not you, sign that device out and change your password.",
			"Your account was signed in on another device at {time}. If that was not you, sign that device out and change your password.",
			"Your account was signed in on another device. If that was not you, sign that device out and change your password.",
		},
		"ja": {
			"別の端末「{device}」（{platform}）でこのアカウントへのログインがありました（{time}）。心当たりがない場合は、その端末をログアウトさせ、パスワードを変更してください。",
			"別の端末「{device}」でこのアカウントへのログインがありました（{time}）。心当たりがない場合は、その端末をログアウトさせ、パスワードを変更してください。",
			"別の端末（{platform}）でこのアカウントへのログインがありました（{time}）。心当たりがない場合は、その端末をログアウトさせ、パスワードを変更してください。",
			"別の端末でこのアカウントへのログインがありました（{time}）。心当たりがない場合は、その端末をログアウトさせ、パスワードを変更してください。",
			"別の端末でこのアカウントへのログインがありました。心当たりがない場合は、その端末をログアウトさせ、パスワードを変更してください。",
		},
		"zh": {
			"您的账号已于 {time} 在另一台设备“{device}”（{platform}）上登录。如非本人操作，请将该设备下线并修改密码。",
			"您的账号已于 {time} 在另一台设备“{device}”上登录。如非本人操作，请将该设备下线并修改密码。",
			"您的账号已于 {time} 在另一台设备（{platform}）上登录。如非本人操作，请将该设备下线并修改密码。",
			"您的账号已于 {time} 在另一台设备上登录。如非本人操作，请将该设备下线并修改密码。",
			"您的账号已在另一台设备上登录。如非本人操作，请将该设备下线并修改密码。",
		},
	},
	"unavailable": {
		"en": {"Signing in is not possible right now. Please try again in a moment."},
		"ja": {"現在ログインできません。しばらくしてからもう一度お試しください。"},
		"zh": {"暂时无法登录，请稍后重试。"},
	},
}
