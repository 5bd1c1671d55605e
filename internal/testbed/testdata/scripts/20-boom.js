export function mail(session, sender) {
  const parts = sender.address.split("@");
  return parts[2].toUpperCase();
}
