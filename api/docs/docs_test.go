package docs_test

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/api/docs"
)

func render(t *testing.T) (docs.Page, string) {
	t.Helper()
	page, err := docs.Render(bindgate.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return page, string(page.HTML)
}

// Every operation of the contract has its own piece of the page, with its path, scope, parameters, the fields of its body and its answers' statuses.
// The contract is read here by another reader than the page's.
func TestPageHasEveryOperation(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(bindgate.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	_, page := render(t)
	articles := map[string]string{}
	for _, piece := range strings.Split(page, "<article id=\"")[1:] {
		id, text, _ := strings.Cut(piece, `"`)
		text, _, _ = strings.Cut(text, "</article>")
		articles[id] = text
	}
	count := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			count++
			article, ok := articles[op.OperationID]
			if !ok {
				t.Errorf("%s %s is not on the page", method, path)
				continue
			}
			text := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(article, ""))
			want := []string{method, path, op.Summary}
			for _, requirement := range *op.Security {
				for _, scopes := range requirement {
					want = append(want, scopes...)
				}
			}
			for _, list := range []openapi3.Parameters{item.Parameters, op.Parameters} {
				for _, p := range list {
					want = append(want, p.Value.Name)
				}
			}
			for status := range op.Responses.Map() {
				want = append(want, status)
			}
			if op.RequestBody != nil {
				for name := range op.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
					want = append(want, name)
				}
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s %s: the page does not have %q", method, path, w)
				}
			}
			if !strings.Contains(page, `<a href="#`+op.OperationID+`"><b`) {
				t.Errorf("%s %s is not among the contents", method, path)
			}
		}
	}
	if count != len(articles) {
		t.Errorf("%d operations, %d articles", count, len(articles))
	}
}

// Whatever a browser would fetch is within the page, and every link leads to a place in it or to the contract.
func TestPageNeedsNoOtherHost(t *testing.T) {
	t.Parallel()
	p, page := render(t)
	for _, found := range regexp.MustCompile(`(?i)\s(?:href|src|srcset|action|data|poster|formaction)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		target := html.UnescapeString(found[1])
		id, local := strings.CutPrefix(target, "#")
		if !(local && strings.Contains(page, `id="`+id+`"`)) && target != "/openapi.yaml" && !strings.HasPrefix(target, "data:image/svg+xml,") {
			t.Errorf("it refers to %q", target)
		}
	}
	if found := regexp.MustCompile(`(?i)url\(|@import|<(link|iframe|object|embed|img|base|meta http)[^>]*(https?:)?//|\bfetch\(|XMLHttpRequest|\bimport\b[ (]`).FindString(strings.ReplaceAll(page, "xmlns='http://www.w3.org/2000/svg'", "")); found != "" {
		t.Errorf("it has %q", found)
	}
	if found := regexp.MustCompile(`(?i)<[^>]* (style|on[a-z]+)="`).FindString(page); found != "" {
		t.Errorf("the policy forbids %q", found)
	}
	if strings.Contains(p.Policy, "unsafe") || !strings.HasPrefix(p.Policy, "default-src 'none';") || strings.Contains(p.Policy, "http") {
		t.Errorf("policy: %s", p.Policy)
	}
}

// Schemas that are put together of others are shown with the fields of all.
func TestPageShowsWhatSchemasArePutTogetherOf(t *testing.T) {
	t.Parallel()
	page, err := docs.Render([]byte(`
tags: [{name: t}]
a: {type: object, properties: {first: {type: string}}}
paths:
  /x:
    get:
      tags: [t]
      operationId: x
      responses:
        '200':
          description: A.
          content:
            application/json:
              schema:
                allOf: [{$ref: '#/a'}, {type: object, properties: {second: {type: [integer, 'null'], minimum: 3}}}]
                properties:
                  third: {oneOf: [{$ref: '#/a'}, {type: 'null'}]}
                  fourth: {oneOf: [{$ref: '#/a'}, {properties: {fifth: {type: array, items: {type: string, enum: [b, c]}}}}]}
                  sixth: {type: object, properties: {seventh: {}, eighth: {}}, oneOf: [{required: [seventh]}, {required: [eighth]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\s+`).ReplaceAllString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(string(page.HTML), " "), " ")
	for _, want := range []string{" first string ", " second integer or null 3 or more ", " third object or null ", " fourth object ", " fifth array of strings b c ", "Exactly one of seventh , eighth ."} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not have %q", want)
		}
	}
}

// A description may hold anything; it is text.
func TestDescriptionsAreText(t *testing.T) {
	t.Parallel()
	page, err := docs.Render([]byte(`
info: {title: <b>, version: "1", description: "<script>alert(1)</script> ` + "`<i>`" + `\n\n- a <img>\n- b"}
tags: [{name: t}]
paths:
  /x/{id}:
    get: {tags: [t], operationId: x, summary: <u>, responses: {'200': {description: <s>}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page.HTML)
	for _, bad := range []string{"<b>,", "<script>alert", "<i>`", "<img>", "<u>", "<s>"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	if !strings.Contains(text, "<code>&lt;i&gt;</code>") || !strings.Contains(text, "<ul><li>a &lt;img&gt;</li><li>b</li></ul>") {
		t.Error("code and lists are not shown as such")
	}
}

func TestWhatCannotBeShownIsAnError(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"no YAML":                "a: [",
		"no mapping":             "[]",
		"an unknown tag":         "paths: {/x: {get: {tags: [t]}}}",
		"a broken reference":     "tags: [{name: t}]\npaths: {/x: {get: {tags: [t], responses: {'200': {$ref: '#/nowhere'}}}}}",
		"a circle":               "a: {$ref: '#/a'}\ntags: [{name: t}]\npaths: {/x: {get: {tags: [t], responses: {'200': {$ref: '#/a'}}}}}",
		"a schema within itself": "a: {type: object, properties: {b: {$ref: '#/a'}}}\ntags: [{name: t}]\npaths: {/x: {get: {tags: [t], responses: {'200': {content: {application/json: {schema: {$ref: '#/a'}}}}}}}}",
	} {
		if _, err := docs.Render([]byte(document)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
