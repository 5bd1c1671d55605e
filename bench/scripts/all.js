// Every handler, none with an opinion: what JavaScript costs when it does nothing.
export function connect(session) {}
export function helo(session, name) {}
export function mail(session, sender) {}
export function rcpt(session, recipient) {}
export function data(session) {}
export function header(session, name, value) {}
export function eoh(session) {}
export function body(session, chunk) {}
export function eom(session) {}
export function abort(session) {}
export function close(session) {}
export function unknown(session, command) {}
