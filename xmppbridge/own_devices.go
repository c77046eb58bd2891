package xmppbridge

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
)

// fieldDevice is the field that says which device is meant.
const fieldDevice = "device"

// signedIn are the devices with a session, and the one that asks; nil: it is not on record.
func signedIn(own gate.OwnDevices) (live []gate.OwnDevice, here *gate.OwnDevice) {
	for i, d := range own.Devices {
		if d.Generation == 0 {
			continue
		}
		if live = append(live, d); d.Here {
			here = &own.Devices[i]
		}
	}
	return live, here
}

// nameOf is what a device is called.
func nameOf(d gate.OwnDevice, w *rules.OwnerWords) string {
	if name := rules.Shown(d.Name); name != "" {
		return name
	}
	return w.Unnamed
}

// labelOf is a device in one line. Its name is quoted and the asking one is marked before it, so that no name can pass for the mark.
func labelOf(d gate.OwnDevice, w *rules.OwnerWords) string {
	text := w.Label
	if d.Platform == "" {
		text = w.Plain
	}
	label := strings.NewReplacer("{device}", unquote(nameOf(d, w)), "{platform}", rules.Shown(d.Platform), "{time}", moment(d.SignedInAt)).Replace(text)
	if d.Here {
		return strings.NewReplacer("{device}", label).Replace(w.Mine)
	}
	return label
}

// unquote takes the quotes out of a name that is to be quoted.
func unquote(name string) string {
	return strings.NewReplacer("“", "'", "”", "'", "「", "'", "」", "'").Replace(name)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// ago says how long something is past, in one unit.
func ago(d time.Duration, w *rules.OwnerWords) string {
	text, n := w.DaysAgo, d/(24*time.Hour)
	switch {
	case d < 0:
		return ""
	case d < time.Minute:
		return w.JustNow
	case d < time.Hour:
		text, n = w.MinutesAgo, d/time.Minute
	case d < 48*time.Hour:
		text, n = w.HoursAgo, d/time.Hour
	}
	return strings.ReplaceAll(text, "{n}", strconv.FormatInt(int64(n), 10))
}

func stateWord(state string, w *rules.OwnerWords) string {
	switch state {
	case "":
		return w.Away
	case string(rules.Binding):
		return w.Binding
	case string(rules.Hibernating):
		return w.Asleep
	case "evicting":
		return w.Leaving
	}
	return w.SignedIn
}

// deviceTable is the list of an account's devices.
func deviceTable(own gate.OwnDevices, w *rules.OwnerWords) *form {
	f := &form{kind: "result", title: w.Devices, instructions: w.DevicesNote, columns: []field{
		{name: fieldDevice, kind: "text-single", label: w.Device},
		{name: "platform", kind: "text-single", label: w.Platform},
		{name: "state", kind: "text-single", label: w.State},
		{name: "since", kind: "text-single", label: w.Since},
		{name: "active", kind: "text-single", label: w.Active},
		{name: "here", kind: "text-single", label: w.Here},
	}}
	for _, d := range own.Devices {
		here := ""
		if d.Here {
			here = w.Yes
		}
		f.rows = append(f.rows, []string{nameOf(d, w), rules.Shown(d.Platform), stateWord(d.State, w), moment(d.SignedInAt), ago(d.Idle, w), here})
	}
	return f
}

// choiceForm asks which device is to be signed out.
func choiceForm(live []gate.OwnDevice, w *rules.OwnerWords) *form {
	choice := field{name: fieldDevice, kind: "list-single", label: w.Device, required: true}
	for _, d := range live {
		choice.options = append(choice.options, option{labelOf(d, w), d.ID})
	}
	return &form{kind: "form", title: w.SignOut, instructions: w.SignOutNote, fields: []field{formType(nodeSignOut), choice}}
}

// confirmForm shows who would be signed out.
func confirmForm(live []gate.OwnDevice, w *rules.OwnerWords) *form {
	f := &form{kind: "form", title: w.SignOutOthers, instructions: w.SignOutOthersNote, fields: []field{formType(nodeSignOutOthers)}}
	for _, d := range live {
		if !d.Here {
			f.fields = append(f.fields, field{kind: "fixed", values: []string{labelOf(d, w)}})
		}
	}
	return f
}

// formType names a form for programs (XEP-0068).
func formType(node string) field {
	return field{name: "FORM_TYPE", kind: "hidden", values: []string{node}}
}

// outcomeTable says of each session what came of it. Of too many the first are shown.
func outcomeTable(report gate.KickReport, live []gate.OwnDevice, w *rules.OwnerWords) *form {
	f := &form{kind: "result", title: w.Outcome, columns: []field{
		{name: fieldDevice, kind: "text-single", label: w.Device},
		{name: "outcome", kind: "text-single", label: w.Outcome},
	}}
	for _, o := range report.Results[:min(len(report.Results), maxOutcomes)] {
		d := gate.OwnDevice{Name: o.Resource}
		if i := slices.IndexFunc(live, func(d gate.OwnDevice) bool { return d.Generation == o.Generation }); i >= 0 {
			d = live[i]
		}
		outcome := w.Pending
		switch o.Outcome {
		case gate.OutcomeKicked:
			outcome = w.SignedOut
		case gate.OutcomeGone:
			outcome = w.Gone
		case gate.OutcomeStillPresent:
			outcome = w.StillPresent
		}
		f.rows = append(f.rows, []string{nameOf(d, w), outcome})
	}
	return f
}

// maxOutcomes bounds a table of outcomes: an account may have any number of sessions.
const maxOutcomes = 200
