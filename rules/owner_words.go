package rules

import "strings"

// OwnerWords are what an account's owner reads when they look after their devices. {device}, {platform}, {time} and {n} stand for values.
type OwnerWords struct {
	Lang string // BCP 47

	Component string // the name of the service

	// The commands and what they say.
	Devices, SignOut, SignOutOthers             string
	DevicesNote, SignOutNote, SignOutOthersNote string
	Goes                                        string // of this very session, which goes after the answer
	Done                                        string // all are signed out
	Partly                                      string // some are not, yet
	NoOthers, NoDevice                          string

	// The columns of tables, and the field of a form.
	Device, Platform, State, Since, Active, Here, Outcome string

	Yes     string
	Unnamed string // a device without a name
	Label   string // of a device in a list; {platform} may be unknown
	Plain   string // of a device without a platform
	Mine    string // of the asking one; {device} is one of the two above

	// States and outcomes.
	Binding, SignedIn, Asleep, Leaving, Away  string
	SignedOut, Gone, Pending, StillPresent    string
	JustNow, MinutesAgo, HoursAgo, DaysAgo    string
	NoChoice, Unknown, Strange, Busy, Trouble string // errors
}

// OwnerWordsFor returns the words of the first of the languages that bindgate ships, by RFC 4647 lookup; English if it is none of them.
func OwnerWordsFor(langs []string) *OwnerWords {
	for _, wish := range langs {
		if len(wish) > maxTag {
			continue
		}
		for tag := strings.TrimSpace(wish); tag != ""; tag = parentTag(tag) {
			for i := range ownerWords {
				if sameTag(ownerWords[i].Lang, tag) {
					return &ownerWords[i]
				}
			}
		}
	}
	return &ownerWords[0]
}

// Shown makes what a client calls itself fit to be read: one line of at most 64 characters, nothing that does not print or turns the direction of the text. It may
// be empty.
func Shown(s string) string { return clean(s) }

// ownerWords are the shipped ones, read only; English first.
var ownerWords = [...]OwnerWords{
	{
		Lang:              "en",
		Component:         "Your devices",
		Devices:           "My devices",
		SignOut:           "Sign out a device",
		SignOutOthers:     "Sign out all other devices",
		DevicesNote:       "The devices of your account.",
		SignOutNote:       "Choose the device to be signed out.",
		SignOutOthersNote: "These devices will be signed out. This one stays.",
		Goes:              "This device is being signed out.",
		Done:              "Signed out.",
		Partly:            "Not all of them are signed out yet.",
		NoOthers:          "No other device is signed in.",
		NoDevice:          "No device is signed in.",
		Device:            "Device",
		Platform:          "Platform",
		State:             "State",
		Since:             "Signed in since",
		Active:            "Last active",
		Here:              "This device",
		Outcome:           "Outcome",
		Yes:               "yes",
		Unnamed:           "unnamed",
		Label:             "“{device}” ({platform}), since {time}",
		Plain:             "“{device}”, since {time}",
		Mine:              "This device: {device}",
		Binding:           "signing in",
		SignedIn:          "signed in",
		Asleep:            "signed in, asleep",
		Leaving:           "being signed out",
		Away:              "not signed in",
		SignedOut:         "signed out",
		Gone:              "was not signed in any more",
		Pending:           "will be signed out as soon as the server can be reached",
		StillPresent:      "still signed in: the server did not end it",
		JustNow:           "just now",
		MinutesAgo:        "{n} min ago",
		HoursAgo:          "{n} h ago",
		DaysAgo:           "{n} d ago",
		NoChoice:          "Choose one of the devices in the form.",
		Unknown:           "That is not a signed-in device of your account. Please start again.",
		Strange:           "This session is not known yet. Please try again in a moment.",
		Busy:              "Too many requests. Please try again in a moment.",
		Trouble:           "That is not possible right now. Please try again in a moment.",
	},
	{
		Lang:              "ja",
		Component:         "ログイン中の端末",
		Devices:           "自分の端末",
		SignOut:           "端末をログアウトさせる",
		SignOutOthers:     "ほかのすべての端末をログアウトさせる",
		DevicesNote:       "このアカウントの端末です。",
		SignOutNote:       "ログアウトさせる端末を選んでください。",
		SignOutOthersNote: "次の端末をログアウトさせます。この端末はそのままです。",
		Goes:              "この端末をログアウトします。",
		Done:              "ログアウトさせました。",
		Partly:            "まだログアウトしていない端末があります。",
		NoOthers:          "ほかにログイン中の端末はありません。",
		NoDevice:          "ログイン中の端末はありません。",
		Device:            "端末",
		Platform:          "種類",
		State:             "状態",
		Since:             "ログイン日時",
		Active:            "最終利用",
		Here:              "この端末",
		Outcome:           "結果",
		Yes:               "はい",
		Unnamed:           "名前なし",
		Label:             "「{device}」（{platform}）{time} から",
		Plain:             "「{device}」{time} から",
		Mine:              "この端末：{device}",
		Binding:           "ログイン処理中",
		SignedIn:          "ログイン中",
		Asleep:            "ログイン中（休止）",
		Leaving:           "ログアウト処理中",
		Away:              "ログインしていません",
		SignedOut:         "ログアウトしました",
		Gone:              "すでにログアウトしていました",
		Pending:           "サーバーに接続でき次第ログアウトさせます",
		StillPresent:      "まだログイン中です（サーバーが終了しませんでした）",
		JustNow:           "たった今",
		MinutesAgo:        "{n}分前",
		HoursAgo:          "{n}時間前",
		DaysAgo:           "{n}日前",
		NoChoice:          "フォームの端末から一つ選んでください。",
		Unknown:           "このアカウントでログイン中の端末ではありません。最初からやり直してください。",
		Strange:           "このセッションはまだ登録されていません。しばらくしてからもう一度お試しください。",
		Busy:              "要求が多すぎます。しばらくしてからもう一度お試しください。",
		Trouble:           "現在この操作はできません。しばらくしてからもう一度お試しください。",
	},
	{
		Lang:              "zh",
		Component:         "您的设备",
		Devices:           "我的设备",
		SignOut:           "下线一台设备",
		SignOutOthers:     "下线所有其他设备",
		DevicesNote:       "您账号的设备。",
		SignOutNote:       "请选择要下线的设备。",
		SignOutOthersNote: "以下设备将被下线，本设备保持登录。",
		Goes:              "本设备即将下线。",
		Done:              "已下线。",
		Partly:            "部分设备尚未下线。",
		NoOthers:          "没有其他已登录的设备。",
		NoDevice:          "没有已登录的设备。",
		Device:            "设备",
		Platform:          "平台",
		State:             "状态",
		Since:             "登录时间",
		Active:            "最近活动",
		Here:              "本设备",
		Outcome:           "结果",
		Yes:               "是",
		Unnamed:           "未命名",
		Label:             "“{device}”（{platform}），自 {time} 起登录",
		Plain:             "“{device}”，自 {time} 起登录",
		Mine:              "本设备：{device}",
		Binding:           "正在登录",
		SignedIn:          "已登录",
		Asleep:            "已登录（休眠）",
		Leaving:           "正在下线",
		Away:              "未登录",
		SignedOut:         "已下线",
		Gone:              "此前已下线",
		Pending:           "将在能连接到服务器时下线",
		StillPresent:      "仍在登录：服务器未能结束该会话",
		JustNow:           "刚刚",
		MinutesAgo:        "{n} 分钟前",
		HoursAgo:          "{n} 小时前",
		DaysAgo:           "{n} 天前",
		NoChoice:          "请在表单中选择一台设备。",
		Unknown:           "该设备未登录您的账号，请重新开始。",
		Strange:           "尚未识别本会话，请稍后重试。",
		Busy:              "请求过多，请稍后重试。",
		Trouble:           "暂时无法执行此操作，请稍后重试。",
	},
}
