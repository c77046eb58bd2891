package api

import (
	"net/http"

	"github.com/bindgate/bindgate/rules"
)

// domainLang is what a change of a domain answers.
type domainLang struct {
	Domain string  `json:"domain"`
	Lang   *string `json:"lang"`
}

// changeDomain sets the language of texts to a domain's accounts. The domain need not be on record yet, as for its rule.
func (a *api) changeDomain(c *call) error {
	scope, err := a.domainScope(c)
	if err != nil {
		return err
	}
	lang, err := c.lang()
	if err != nil {
		return err
	}
	if err := a.store.SetDomainLang(c.ctx, scope.Subject, lang, c.actor()); err != nil {
		return err
	}
	return c.respond(http.StatusOK, domainLang{scope.Subject, orNull(lang)})
}

// changeAccount sets the language of texts to an account.
func (a *api) changeAccount(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	lang, err := c.lang()
	if err != nil {
		return err
	}
	if err := a.store.SetAccountLang(c.ctx, acc.jid, lang, c.actor()); err != nil {
		return err
	}
	return a.respondAccount(c, acc)
}

// lang reads a body that has but a language; "" is none.
func (c *call) lang() (string, error) {
	o, err := readObject(c.Request(), "lang")
	if err != nil {
		return "", err
	}
	raw, ok := o.fields["lang"]
	switch {
	case !ok:
		o.wrong("/lang", `This is needed: a language (BCP 47), such as "ja", or null for none.`)
	case string(raw) == "null":
		return "", nil
	}
	lang := o.text("lang", 100)
	if !rules.LanguageTag(lang) {
		o.wrong("/lang", `This must be a BCP 47 tag of a language, such as "en", "ja" or "zh-Hant", or null for none.`)
	}
	return lang, o.problem
}
