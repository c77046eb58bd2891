package xmppbridge

import (
	"context"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
)

const nsItems = "http://jabber.org/protocol/disco#items" // XEP-0030 §4

// The nodes of the commands (XEP-0050).
const (
	nodeDevices       = NS + "#devices"
	nodeSignOut       = NS + "#sign-out"
	nodeSignOutOthers = NS + "#sign-out-others"
)

var commandNodes = []string{nodeDevices, nodeSignOut, nodeSignOutOthers}

// commandName is what a command is called; empty: there is none at that node.
func commandName(w *rules.OwnerWords, node string) string {
	switch node {
	case nodeDevices:
		return w.Devices
	case nodeSignOut:
		return w.SignOut
	case nodeSignOutOthers:
		return w.SignOutOthers
	}
	return ""
}

// notFound is for nodes that are not there.
var notFound = fault{"cancel", "item-not-found", ""}

// named are the words for a list that a user reads, also when the account cannot be read. What clients ask at each login asks for none of the database.
func (a *audience) named(ctx context.Context, node string) *rules.OwnerWords {
	if node == "" {
		return a.words(gate.OwnDevices{})
	}
	own, _ := a.own(ctx)
	return a.words(own)
}

// info answers disco#info (XEP-0030 §3) about the component, its list of commands (XEP-0050 §2.2), or one of them.
func (a *audience) info(ctx context.Context, node string) {
	if node != "" && node != nsCommands && commandName(rules.OwnerWordsFor(nil), node) == "" {
		a.fail(notFound, nil, "")
		return
	}
	w := a.named(ctx, node)
	category, kind, name, features := "component", "generic", w.Component, []string{nsDisco, nsItems, nsCommands}
	switch node {
	case "":
	case nsCommands:
		category, kind, features = "automation", "command-list", []string{nsDisco, nsItems, nsCommands}
	default:
		category, kind, name, features = "automation", "command-node", commandName(w, node), []string{nsCommands, nsData}
	}
	a.say(w.Lang, func(b []byte) []byte {
		b = append(b, "<query xmlns='"+nsDisco+"'"...)
		b = appendWord(b, "node", node)
		b = append(b, "><identity"...)
		b = appendAttr(b, "category", category)
		b = appendAttr(b, "type", kind)
		b = append(appendAttr(b, "name", name), "/>"...)
		for _, f := range features {
			b = append(b, "<feature var='"+f+"'/>"...)
		}
		return append(b, "</query>"...)
	})
}

// items answers disco#items (XEP-0030 §4): the commands under their node, nothing elsewhere.
func (a *audience) items(ctx context.Context, node string) {
	if node != "" && node != nsCommands && commandName(rules.OwnerWordsFor(nil), node) == "" {
		a.fail(notFound, nil, "")
		return
	}
	w := a.named(ctx, node)
	a.say(w.Lang, func(b []byte) []byte {
		b = append(b, "<query xmlns='"+nsItems+"'"...)
		b = append(appendWord(b, "node", node), '>')
		if node == nsCommands {
			for _, n := range commandNodes {
				b = appendAttr(append(b, "<item"...), "jid", a.b.cfg.Component)
				b = appendAttr(b, "node", n)
				b = append(appendAttr(b, "name", commandName(w, n)), "/>"...)
			}
		}
		return append(b, "</query>"...)
	})
}
