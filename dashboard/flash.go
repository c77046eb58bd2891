package dashboard

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// flash is what the next page tells of what was done. It waits in a cookie, which the browser's user could have made: it is shown as text.
type flash struct {
	Kind string   `json:"k"` // "good", "bad"
	Key  string   `json:"t"` // of the text
	Args []string `json:"a,omitempty"`
}

const flashCookie = "bindgate_flash"

// maxFlash bounds the cookie in bytes; what is longer is told without its arguments.
const maxFlash = 2048

func (v *visit) tell(kind, key string, args ...string) {
	f := flash{Kind: kind, Key: key, Args: args}
	b, _ := json.Marshal(f) // strings always encode
	if len(b) > maxFlash {
		f.Args = nil
		b, _ = json.Marshal(f)
	}
	http.SetCookie(v.w, v.cookie(flashCookie, base64.RawURLEncoding.EncodeToString(b), 60))
}

// done tells that something was done.
func (v *visit) done(key string, args ...string) { v.tell("good", key, args...) }

// takeFlash reads what is to be told, and forgets it.
func takeFlash(w http.ResponseWriter, r *http.Request) *flash {
	c, err := r.Cookie(flashCookie)
	if err != nil || r.Method != http.MethodGet || r.Header.Get("X-Bindgate-Live") != "" {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: Root, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	f := &flash{}
	if err != nil || json.Unmarshal(b, f) != nil || f.Kind != "good" && f.Kind != "bad" || len(f.Args) > 8 {
		return nil
	}
	return f
}

// cookie makes one of the dashboard's cookies, for so many seconds.
func (v *visit) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: Root, MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.d.cfg.Secure(v.r)}
}
