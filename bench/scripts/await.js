// Every handler of a message waits ten milliseconds, as one does that asks another server.
const wait = () => new Promise((done) => setTimeout(done, 10));

export const mail = wait;
export const rcpt = wait;
export const data = wait;
export const header = wait;
export const eoh = wait;
export const body = wait;
export const eom = wait;
