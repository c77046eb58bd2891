// Package pages has tests alone: people in front of the dashboard, in a real Chromium, with a bindgate process, a Prosody and XMPP clients behind it.
package pages
