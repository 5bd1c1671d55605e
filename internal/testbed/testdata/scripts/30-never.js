export async function helo() {
  await new Promise(() => {});
}
