/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xml - foreign XML read without harm (libxml2), and text put into XML.
 *
 * A document has no document type, so no entity but the five of XML; nothing is fetched; it is no
 * deeper than libxml2 allows (256). Fuzzed by fuzz_xml. How long it may be is for the caller to
 * say. Knows no schema. Any process; a document belongs to one thread at a time.
 */
#ifndef MAYFLY_BASE_XML_H
#define MAYFLY_BASE_XML_H

#include <libxml/tree.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"

OWN_DEFINE(xml_doc, xmlDocPtr, xmlFreeDoc)

/* INVALID for what is not well-formed, and for a document type. The caller owns *ret. */
int xml_parse(struct str bytes, xmlDocPtr *ret, struct err *err);

/* An element of that name, in whatever namespace. */
bool xml_is_element(const xmlNode *node, const char *name);
/* The same in the namespace of that URI. NULL is none. */
bool xml_is_element_of(const xmlNode *node, const char *uri, const char *name);

/* Copies on the heap, freed by the caller: an attribute that is in no namespace, NULL without;
 * the text inside a node, never NULL. */
char *xml_attribute(const xmlNode *node, const char *name);
char *xml_text(const xmlNode *node);

/* Characters that XML 1.0 can hold, in UTF-8. */
bool xml_can_hold(struct str text);
/* Appended so that it reads back as it is, in an element and in a quoted attribute. What
 * xml_can_hold() refuses must not come here. */
void xml_add_text(struct buf *out, struct str text);

#endif
