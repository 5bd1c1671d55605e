/*
 * null: a milter on libmilter that registers every callback and has no opinion.
 * It is what pmilterd is measured against: the least that a C filter can do.
 *
 *   cc -O2 -Wall -o null null.c -lmilter -lpthread
 *   ./null unix:/tmp/null.sock      or  inet:8891@127.0.0.1
 */
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "libmilter/mfapi.h"

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *addr)
{
	(void)ctx, (void)host, (void)addr;
	return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	(void)ctx, (void)name;
	return SMFIS_CONTINUE;
}

static sfsistat on_path(SMFICTX *ctx, char **argv) /* MAIL and RCPT */
{
	(void)ctx, (void)argv;
	return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx, (void)name, (void)value;
	return SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t len)
{
	(void)ctx, (void)chunk, (void)len;
	return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
	(void)ctx, (void)command;
	return SMFIS_CONTINUE;
}

static sfsistat on_step(SMFICTX *ctx) /* DATA, EOH, abort and close */
{
	(void)ctx;
	return SMFIS_CONTINUE;
}

static sfsistat on_eom(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_ACCEPT;
}

int main(int argc, char **argv)
{
	struct smfiDesc filter = {
		.xxfi_name = "null",
		.xxfi_version = SMFI_VERSION,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_path,
		.xxfi_envrcpt = on_path,
		.xxfi_data = on_step,
		.xxfi_header = on_header,
		.xxfi_eoh = on_step,
		.xxfi_body = on_body,
		.xxfi_eom = on_eom,
		.xxfi_abort = on_step,
		.xxfi_close = on_step,
		.xxfi_unknown = on_unknown,
	};

	if (argc != 2) {
		fprintf(stderr, "usage: null SOCKET\n");
		return EX_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (smfi_setconn(argv[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE || smfi_opensocket(1) == MI_FAILURE) {
		fprintf(stderr, "null: cannot listen on %s\n", argv[1]);
		return EX_UNAVAILABLE;
	}
	return smfi_main() == MI_SUCCESS ? EX_OK : EX_SOFTWARE;
}
