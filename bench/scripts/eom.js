// The end of the message alone, with the header and without the body.
export const options = { body: false };

export function eom(session) {}
