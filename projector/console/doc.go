// Package console is the operator's console: pages that answer what a team is asked about
// Delius and the events of CAS, one question a page, each at a plain URL that can be sent to a
// colleague.
//
// Every page is rendered here from values of package inspect, with html/template, and works
// without JavaScript. One small script of ours renews the live parts: it asks for the page's own
// URL as server-sent events, and gets those parts again whenever they have changed.
//
// # Who may see what
//
// A [User] has roles. Pages need [View], actions [Operate], bodies of messages [SeeBodies], and
// cases that Delius marks as restricted or excluded [Restricted]; lists name such cases without
// saying whose they are. Each view of a person is written down before it is shown: what cannot
// be written down is not shown.
//
// Without a sign-in the console is local: whoever reaches it may view, and nothing else. The
// program binds such a one to the loopback interface only, and each page says so.
//
// # What it knows
//
// It reads by the interfaces that it declares, and decides nothing about anybody's rows. What it
// is asked to do it only writes down, as a request with the plan that was confirmed: the running
// projector does it, or refuses.
package console
