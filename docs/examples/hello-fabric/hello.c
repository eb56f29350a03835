/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: how to reach the fabric and a function's name. Hands on: what it found, on stdout.
 * Owns: one attachment while it runs.
 */
#include <stdio.h>
#include <string.h>

#include <farlane/farlane.h>

static int failed(const char *what, int status)
{
	fprintf(stderr, "%s: %s (%s)\n", what, fl_last_error(), fl_status_name(status));
	return status;
}

static int list(fl_fabric *fabric)
{
	struct fl_function_info all[16];
	size_t count, i;
	int status = fl_fabric_list(fabric, all, 16, &count);

	if (status)
		return failed("list", status);
	for (i = 0; i < count && i < 16; i++)
		printf("%s of %s: %s\n", all[i].name, all[i].target, all[i].model);
	return 0;
}

static int use(fl_device *device)
{
	fl_buffer *buffer = NULL;
	fl_mapping *mapping = NULL;
	uint32_t id, first;
	int status;

	if ((status = fl_device_enable(device)) || (status = fl_device_config_read(device, 0, 4, &id)) ||
	    (status = fl_device_read32(device, 0, 0, &first)))
		return failed("registers", status);
	printf("%04x:%04x, first register 0x%08x\n", id & 0xffff, id >> 16, first);

	if ((status = fl_buffer_allocate(device, 65536, &buffer)) ||
	    (status = fl_buffer_map(device, buffer, 0, 4096, FL_DMA_BIDIRECTIONAL, &mapping)))
		failed("buffer", status);
	else
		printf("4096 bytes at IOVA 0x%llx may be read and written by the device\n",
		       (unsigned long long)fl_mapping_iova(mapping));
	/* In reverse order; null pointers are fine. */
	fl_mapping_unmap(mapping);
	fl_buffer_free(buffer);
	return status;
}

int main(int argc, char **argv)
{
	struct fl_fabric_options options;
	fl_fabric *fabric;
	fl_device *device;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: %s daemon FUNCTION [SOCKET] | embedded FUNCTION [PORT [PEER]]\n", argv[0]);
		return 2;
	}
	fl_fabric_options_init(&options);
	if (strcmp(argv[1], "embedded") == 0) {
		options.provider = FL_PROVIDER_EMBEDDED;
		options.port = argc > 3 ? argv[3] : "udp:";
		options.peer = argc > 4 ? argv[4] : NULL;
	} else if (argc > 3) {
		options.socket = argv[3];
	}
	status = fl_fabric_open(&options, &fabric);
	if (status)
		return failed("open", status) ? 1 : 0;
	status = list(fabric);
	if (!status && (status = fl_fabric_attach(fabric, argv[2], &device)) != 0)
		failed("attach", status);
	else if (!status) {
		status = use(device);
		if (fl_device_detach(device) && !status)
			status = 1;
	}
	fl_fabric_close(fabric);
	if (!status)
		puts("done");
	return status ? 1 : 0;
}
