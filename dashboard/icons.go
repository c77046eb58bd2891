package dashboard

import (
	"fmt"
	"html/template"
)

// icons are drawn within 16 × 16, by strokes of 1.5 in the colour of the text beside them.
var icons = map[string]string{
	"gate":      `<path d="M3 14V7a5 5 0 0 1 10 0v7M3 9.5h10M8 2v12"/>`,
	"home":      `<path d="M2.5 7 8 2.5 13.5 7v6.5h-4v-4h-3v4h-4z"/>`,
	"sessions":  `<rect x="1.75" y="2.5" width="9" height="6.5" rx="1"/><path d="M4 12h4.5"/><rect x="10.75" y="6" width="3.5" height="7.5" rx="1"/>`,
	"decisions": `<path d="M8 2v12M8 5h4.5l1.5 1.5L12.5 8H8M8 8H3.5L2 9.5 3.5 11H8"/>`,
	"loops":     `<path d="M13 6.5A5.25 5.25 0 0 0 3.3 5.5M3 9.5a5.25 5.25 0 0 0 9.7 1"/><path d="M3 2.5v3h3M13 13.5v-3h-3"/>`,
	"rules":     `<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/><circle cx="5.5" cy="4.5" r="1.5"/><circle cx="10.5" cy="8" r="1.5"/><circle cx="6.5" cy="11.5" r="1.5"/>`,
	"kicks":     `<path d="M6.5 2.5H3v11h3.5M10 5l3 3-3 3M13 8H6.5"/>`,
	"audit":     `<path d="M4 2h6l2.5 2.5V14H4z"/><path d="M6.2 7h4M6.2 9.5h4M6.2 12h2.5"/>`,
	"links":     `<path d="M6.5 9.5l3-3M7 4.5l1.2-1.2a2.7 2.7 0 0 1 3.9 3.9L10.9 8.4M9 11.5l-1.2 1.2a2.7 2.7 0 0 1-3.9-3.9L5.1 7.6"/>`,
	"webhooks":  `<circle cx="8" cy="4.5" r="2.2"/><circle cx="3.8" cy="11.5" r="2.2"/><circle cx="12.2" cy="11.5" r="2.2"/><path d="M7 6.5 5 9.5M9 6.5l2 3M6 11.5h4"/>`,
	"users":     `<circle cx="6" cy="5.5" r="2.5"/><path d="M1.5 13.5a4.5 4.5 0 0 1 9 0M10.5 3.3a2.5 2.5 0 0 1 0 4.4M12 9.6a4.5 4.5 0 0 1 2.5 3.9"/>`,
	"user":      `<circle cx="8" cy="5.5" r="2.7"/><path d="M3 14a5 5 0 0 1 10 0"/>`,
	"search":    `<circle cx="7" cy="7" r="4.25"/><path d="m10.2 10.2 3.3 3.3"/>`,
	"filter":    `<path d="M2 3h12L9.5 8.5V13l-3-1.5v-3z"/>`,
	"columns":   `<rect x="2" y="2.5" width="12" height="11" rx="1"/><path d="M6 2.5v11M10 2.5v11"/>`,
	"menu":      `<path d="M2.5 4h11M2.5 8h11M2.5 12h11"/>`,
	"theme":     `<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5v11a5.5 5.5 0 0 0 0-11z" fill="currentColor"/>`,
	"more":      `<circle cx="3.5" cy="8" r=".8"/><circle cx="8" cy="8" r=".8"/><circle cx="12.5" cy="8" r=".8"/>`,
	"certain":   `<circle cx="8" cy="8" r="5.5"/><path d="m5.5 8.3 1.8 1.8 3.3-3.7"/>`,
	"probable":  `<path d="M3 6.5c1.7-2 3.3-2 5 0s3.3 2 5 0M3 10.5c1.7-2 3.3-2 5 0s3.3 2 5 0"/>`,
	"untold":    `<path d="M5.5 6a2.5 2.5 0 1 1 3.7 2.2C8.400 8.600 8 9 8 10M8 12.5v.1"/>`,
	"check":     `<path d="m3 8.5 3.2 3.2L13 5"/>`,
	"cross":     `<path d="m4 4 8 8M12 4l-8 8"/>`,
	"warning":   `<path d="M8 2.2 14.5 13.5h-13z"/><path d="M8 6.5v3.5M8 11.7v.1"/>`,
	"info":      `<circle cx="8" cy="8" r="6"/><path d="M8 7.5V11M8 5v.1"/>`,
	"clock":     `<circle cx="8" cy="8" r="6"/><path d="M8 4.5V8l2.5 1.5"/>`,
	"lock":      `<rect x="3.5" y="7" width="9" height="6.5" rx="1"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/>`,
	"unlock":    `<rect x="3.5" y="7" width="9" height="6.5" rx="1"/><path d="M5.5 7V5a2.5 2.5 0 0 1 4.8-1"/>`,
	"shield":    `<path d="M8 1.8 13 3.5v4c0 3.2-2 5.5-5 6.7-3-1.2-5-3.5-5-6.7v-4z"/>`,
	"phone":     `<rect x="4.5" y="1.75" width="7" height="12.5" rx="1.5"/><path d="M7.2 12h1.6"/>`,
	"desktop":   `<rect x="1.75" y="2.5" width="12.5" height="8.5" rx="1"/><path d="M8 11v2.5M5 13.5h6"/>`,
	"web":       `<circle cx="8" cy="8" r="6"/><path d="M2 8h12M8 2c2.5 2 2.5 10 0 12M8 2c-2.5 2-2.5 10 0 12"/>`,
	"bot":       `<rect x="2.5" y="5" width="11" height="8" rx="1.5"/><path d="M8 5V2.5M5.7 8.5v1.2M10.3 8.5v1.2"/>`,
	"device":    `<rect x="2" y="3" width="12" height="10" rx="1.5"/><path d="M6.7 9c0-1.2 1.8-1.3 1.8-2.5a1.3 1.3 0 0 0-2.6 0M7.2 11v.1"/>`,
	"plus":      `<path d="M8 3v10M3 8h10"/>`,
	"arrow":     `<path d="M3 8h10M9 4l4 4-4 4"/>`,
	"download":  `<path d="M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11"/>`,
	"trash":     `<path d="M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4"/>`,
	"key":       `<circle cx="5" cy="11" r="2.5"/><path d="m7 9 6-6M10.5 5.5l2 2"/>`,
	"refresh":   `<path d="M13.5 8A5.5 5.5 0 1 1 11.7 4M13.5 2v3h-3"/>`,
	"edit":      `<path d="m10.5 3 2.5 2.5-7 7H3.5V10z"/>`,
	"external":  `<path d="M9 2.5h4.5V7M13.5 2.5 7.5 8.5M11.5 9.5v4h-9v-9h4"/>`,
}

// icon draws one beside words; screen readers are not told of it.
func icon(name string) (template.HTML, error) {
	body, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">` + body + `</svg>`), nil //nolint:gosec // no one else's text
}
