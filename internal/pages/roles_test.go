package pages

import (
	"testing"

	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// A viewer is offered nothing that changes anything, and is refused what they ask for all the same.
func TestViewerCannotKick(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	phone := s.device("ada", "phone", xmppclient.Options{})
	p := s.login(t, "viewer", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the phone is in the table", row("phone"))
	if n := browser.Eval[int](p, `document.querySelectorAll('main [href*="/kick"], main form[action*="/kick"]').length`); n != 0 {
		t.Errorf("a viewer is offered %d ways to kick", n)
	}
	id := browser.Eval[string](p, `document.querySelector('#sessions tr[data-key]').dataset.key`)
	if status := p.Go(at("/sessions/kick", "id", id)); status != 403 {
		t.Errorf("the question: %d, want 403", status)
	}
	// A form of the viewer's own making, on a page of ours.
	p.Go("/dashboard/sessions")
	browser.Eval[bool](p, `(() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/dashboard/sessions/kick'; f.id = 'forged';
		const i = document.createElement('input'); i.name = 'id'; i.value = '`+id+`'; const b = document.createElement('button'); b.textContent = 'kick'; f.append(i, b); document.querySelector('main').prepend(f); return true })()`)
	if status := p.Follow(`#forged button`); status != 403 {
		t.Errorf("the deed: %d, want 403", status)
	}
	s.lives(phone)
}
