package dashboard

import (
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/bindgate/bindgate/client"
)

type ruleReviewPage struct {
	page
	ruleScope
	ETag    string
	Hidden  []hiddenInput // the form as it was typed
	Expires expiryForm    // of an account's rule
	Wrong   *formProblem  // with Expires
	Then    []template.HTML
	Changes []ruleChange
	Odd     template.HTML // platforms that nothing has; "": none
	Preview *rulePreview
}

// hiddenInput carries a value from one step to the next.
type hiddenInput struct{ Name, Value string }

func hiddenInputs(in url.Values) []hiddenInput {
	var out []hiddenInput
	for _, name := range slices.Sorted(maps.Keys(in)) {
		for _, value := range in[name] {
			out = append(out, hiddenInput{name, value})
		}
	}
	return out
}

// rulePreview is what a rule would come to for who is logged in now.
type rulePreview struct {
	*client.Preview
	Failed bool // it could not be made just now
}

// ExpiryModes are the ends that can be chosen.
func (*ruleReviewPage) ExpiryModes() []string { return expiryModes() }

// reviewRule shows what the posted form, or the posted preset, would change, before anything is saved.
func (d *Dashboard) reviewRule(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.r.PostForm)
	if err != nil {
		return err
	}
	form, stored, err := v.presetForm(scope, v.r.PostForm)
	if err != nil {
		return err
	}
	etag := v.form("etag")
	switch {
	case form == nil:
		form = readForm(v.r.PostForm)
	case stored.ETag != etag:
		etag = stored.ETag // the preset goes over what is there now, and the preview shows what becomes of it
	}
	rule, ok := form.rule()
	if !ok {
		return v.againRule(http.StatusUnprocessableEntity, scope, form, nil)
	}
	p, err := v.ruleReviewPage(scope, form, rule)
	if said := said(err); said != nil && problemOf(err) != nil {
		form.refuse(said)
		return v.againRule(http.StatusUnprocessableEntity, scope, form, nil)
	} else if err != nil {
		return err
	}
	p.ETag = etag
	return v.render(http.StatusOK, "rules_review", p)
}

// said is what the API said; nil: the error is not of the API.
func said(err error) *client.Error {
	var e *client.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// beforeAndAfter are what applies to a scope's accounts with the rule that it has, and with what is to be in its place, if anything is.
func (v *visit) beforeAndAfter(scope ruleScope, stored client.Rule, instead ...levelRule) (before, after client.EffectiveRule, err error) {
	under, err := v.under(scope)
	if err != nil {
		return before, after, err
	}
	if before, err = mergeRules(append([]levelRule{{scope.Level, stored}}, under...)...); err != nil {
		return before, after, err
	}
	after, err = mergeRules(append(instead, under...)...)
	return before, after, err
}

func (v *visit) ruleReviewPage(scope ruleScope, form *ruleForm, rule client.Rule) (*ruleReviewPage, error) {
	if !v.mayChange(scope.Level) {
		return nil, refuse(http.StatusForbidden)
	}
	stored, err := v.storedRule(scope)
	if err != nil {
		return nil, err
	}
	preview, err := v.preview(client.PreviewRequest{Level: scope.Level, Subject: scope.Subject, Rule: &rule})
	if err != nil {
		return nil, err
	}
	p := &ruleReviewPage{page: v.page("rules.review.title"), ruleScope: scope, Expires: form.Expires, Preview: preview}
	before, after, err := v.beforeAndAfter(scope, stored.Rule, levelRule{scope.Level, rule})
	if err != nil {
		return nil, err
	}
	t := v.teller()
	p.Then, p.Changes, p.Odd = t.consequence(after.Rule), t.changes(before.Rule, after.Rule), v.oddPlatforms(rule)
	in := form.values()
	for name := range form.Expires.values() {
		if scope.Account() && name != "expires.kept" {
			in.Del(name) // which is asked here
		}
	}
	p.Hidden = hiddenInputs(in)
	return p, nil
}

// preview asks what a rule would come to. That the service is too busy for it just now is part of the answer: the rule can be saved all the same.
func (v *visit) preview(req client.PreviewRequest) (*rulePreview, error) {
	p, err := v.api().PreviewRule(v.ctx, req)
	if errors.Is(err, client.ErrUnavailable) {
		return &rulePreview{Failed: true}, nil
	}
	return &rulePreview{Preview: p}, err
}

// saveRule saves the previewed rule and goes on to what becomes of it.
func (d *Dashboard) saveRule(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.r.PostForm)
	if err != nil {
		return err
	}
	form := readForm(v.r.PostForm)
	rule, ok := form.rule()
	if !ok {
		return v.againRule(http.StatusUnprocessableEntity, scope, form, nil)
	}
	expires, ok := form.Expires.time(d.cfg.Now())
	if !ok {
		return v.againReview(scope, form, rule, formProblem{Key: "rules.wrong.expires"})
	}
	o := over(v.form("etag"))
	o.Apply = client.Apply(oneOf(v.form("apply"), string(client.ApplyNextLogin), string(client.ApplyNow)))
	saved, err := v.putRule(scope, rule, expires, o)
	switch e := said(err); {
	case isConflict(err):
		now, err := v.storedRule(scope)
		if err != nil {
			return err
		}
		return v.againRule(http.StatusConflict, scope, form, now)
	case problemOf(err) != nil && form.place(e.Field) == "expires.at":
		return v.againReview(scope, form, rule, formProblem{Detail: e.Detail})
	case problemOf(err) != nil:
		form.refuse(e)
		return v.againRule(http.StatusUnprocessableEntity, scope, form, nil)
	case err != nil:
		return err
	}
	return v.afterRule(scope, saved.KickID, "rules.done.saved")
}

func (v *visit) againReview(scope ruleScope, form *ruleForm, rule client.Rule, wrong formProblem) error {
	p, err := v.ruleReviewPage(scope, form, rule)
	if err != nil {
		return err
	}
	p.ETag, p.Wrong = v.form("etag"), &wrong
	return v.render(http.StatusUnprocessableEntity, "rules_review", p)
}

// afterRule goes on after a change: to its job if it has one, else to the subject.
func (v *visit) afterRule(scope ruleScope, kick, key string) error {
	if scope.Level == client.LevelDefault {
		v.done(key + ".default")
	} else {
		v.done(key, scope.Subject)
	}
	if kick != "" {
		return v.redirect(link("/kicks/job", "id", kick))
	}
	return v.redirect(scope.Page())
}
