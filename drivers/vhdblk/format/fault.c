// SPDX-License-Identifier: GPL-2.0
/* The one place that gives a fault its words, its errno and its severity. */
#include "vhd_format.h"

struct vhd_fault_info {
	const char *name;
	const char *text;
	u8 errnum;
	u8 severity;
};

#define FAULT(FAULT_, NAME, TEXT, ERRNUM, SEVERITY)			\
	[FAULT_] = { NAME, TEXT, ERRNUM, VHD_SEV_##SEVERITY }

static const struct vhd_fault_info faults[VHD_NR_FAULTS] = {
	FAULT(VHD_OK, "ok", "no fault", 0, NONE),
	FAULT(VHD_FAULT_NO_FOOTER, "no-footer",
	      "no VHD footer, neither at the end nor at the start", EINVAL, FATAL),
	FAULT(VHD_FAULT_TOO_SMALL, "too-small",
	      "file is too small for a VHD footer", EINVAL, FATAL),
	FAULT(VHD_FAULT_FOOTER_CHECKSUM, "footer-checksum",
	      "footer checksum does not match", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_FOOTER_TYPE, "footer-type",
	      "footer names an unknown disk type", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_FOOTER_DATA_OFFSET, "footer-data-offset",
	      "footer points at no dynamic header inside the file", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_FOOTER_SIZE, "footer-size",
	      "disk size is zero or more than the file holds", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_HEADER_COOKIE, "header-cookie",
	      "dynamic header has no cookie", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_HEADER_CHECKSUM, "header-checksum",
	      "dynamic header checksum does not match", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_HEADER_TABLE_OFFSET, "header-table-offset",
	      "block allocation table is not at a sector of the file", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_HEADER_ENTRIES, "header-entries",
	      "block allocation table has too few entries for the disk size",
	      EUCLEAN, FATAL),
	FAULT(VHD_FAULT_HEADER_BLOCK_SIZE, "header-block-size",
	      "block size is not a power of two", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_BAT_TRUNCATED, "bat-truncated",
	      "block allocation table runs past the end of the file", EUCLEAN, FATAL),
	FAULT(VHD_FAULT_BAT_RANGE, "bat-range",
	      "block lies outside the file or on metadata", EUCLEAN, BLOCK),
	FAULT(VHD_FAULT_BAT_OVERLAP, "bat-overlap",
	      "two blocks share sectors of the file", EUCLEAN, BLOCK),
	FAULT(VHD_FAULT_BLOCK_CUT, "block-cut",
	      "last block is cut by the footer or the end of the file", EUCLEAN, BLOCK),
	FAULT(VHD_FAULT_LOCATOR_CODE, "locator-code",
	      "parent locator has an unknown platform code", EUCLEAN, NOTE),
	FAULT(VHD_FAULT_LOCATOR_RANGE, "locator-range",
	      "parent locator data lie outside the file or are too long", EUCLEAN, BLOCK),
	FAULT(VHD_FAULT_LOCATOR_OVERLAP, "locator-overlap",
	      "parent locator data lie on other metadata", EUCLEAN, BLOCK),
	FAULT(VHD_FAULT_LOCATOR_TEXT, "locator-text",
	      "parent locator does not decode to a path", EUCLEAN, NOTE),
	FAULT(VHD_FAULT_METADATA_OVERLAP, "metadata-overlap",
	      "footer, dynamic header and block allocation table share sectors",
	      EUCLEAN, FATAL),
	FAULT(VHD_FAULT_POISON, "poison",
	      "a journaled resize by vhd-util was interrupted", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_FOOTER_VERSION, "footer-version",
	      "footer has an unsupported format version", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_HEADER_VERSION, "header-version",
	      "dynamic header has an unsupported format version", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_BLOCK_SIZE_RANGE, "block-size-range",
	      "block size is outside 4 KiB to 256 MiB", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_TOO_MANY_BLOCKS, "too-many-blocks",
	      "disk has more than 4194304 blocks", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_TOO_LARGE, "too-large",
	      "disk is larger than its format or block size can hold", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_SHORT_FOOTER, "short-footer",
	      "footer is 511 bytes long", EOPNOTSUPP, REPAIRABLE),
	FAULT(VHD_FAULT_TOO_DEEP, "too-deep",
	      "chain has more than 255 layers", EOPNOTSUPP, FATAL),
	FAULT(VHD_FAULT_NO_PARENT, "no-parent",
	      "differencing image has no parent", ENOENT, FATAL),
	FAULT(VHD_FAULT_NOT_DIFFERENCING, "not-differencing",
	      "image has a parent but is not differencing", EMEDIUMTYPE, FATAL),
	FAULT(VHD_FAULT_PARENT_ID, "parent-id",
	      "parent has another unique id than the child names", EXDEV, FATAL),
	FAULT(VHD_FAULT_RAW_PARENT, "raw-parent",
	      "child has a raw parent, which must be named as such", ENOENT, FATAL),
	FAULT(VHD_FAULT_CYCLE, "cycle",
	      "chain contains the same file twice", ELOOP, FATAL),
	FAULT(VHD_FAULT_FOOTER_END_MISSING, "footer-end-missing",
	      "footer at the end is missing or bad", EUCLEAN, REPAIRABLE),
	FAULT(VHD_FAULT_FOOTER_COPY, "footer-copy",
	      "footer copy at the start is missing, bad or different", EUCLEAN, REPAIRABLE),
};

static const struct vhd_fault_info *vhd_fault_info(enum vhd_fault fault)
{
	static const struct vhd_fault_info unknown = {
		"unknown", "unknown fault", EUCLEAN, VHD_SEV_FATAL
	};

	return (u32)fault < VHD_NR_FAULTS ? &faults[fault] : &unknown;
}

/**
 * vhd_fault_str() - a fault in words
 * @fault: result of a check
 *
 * Context: Any.
 * Return: A constant sentence without a full stop, the same in kernel log,
 * netlink results and vhdctl.
 */
const char *vhd_fault_str(enum vhd_fault fault)
{
	return vhd_fault_info(fault)->text;
}

/**
 * vhd_fault_name() - the word for a fault in JSON and test tables
 * @fault: result of a check
 *
 * Context: Any.
 * Return: The name of the constant without prefix, lower case, with hyphens.
 */
const char *vhd_fault_name(enum vhd_fault fault)
{
	return vhd_fault_info(fault)->name;
}

/**
 * vhd_fault_errno() - the error number that an operation fails with
 * @fault: result of a check
 *
 * Context: Any.
 * Return: 0 for VHD_OK, else a negative errno: -EINVAL not a VHD, -EUCLEAN
 * corrupt, -EOPNOTSUPP legal but unsupported, others for links of a chain.
 */
int vhd_fault_errno(enum vhd_fault fault)
{
	return -vhd_fault_info(fault)->errnum;
}

/**
 * vhd_fault_severity() - what a fault forbids
 * @fault: result of a check
 *
 * Context: Any.
 * Return: See &enum vhd_severity.
 */
enum vhd_severity vhd_fault_severity(enum vhd_fault fault)
{
	return vhd_fault_info(fault)->severity;
}
