package openapi

import "slices"

// Shape is what is known of the form of a value: of an object, and of what is in it. The zero Shape is that of a value of which
// nothing is known.
type Shape struct {
	schema *schema
	// book resolves references; nil for a custom kind, whose schema has none, until metadata is reached.
	book *book
	// custom says that the value is an object of a custom kind.
	custom bool
	meta   *book
}

// Shape returns the shape of the objects of a kind; the zero one where the kind is not known. A nil checker knows none.
func (c *Checker) Shape(group, version, name string) Shape {
	if c == nil {
		return Shape{}
	}
	if d, ok := c.custom[group+"/"+name]; ok {
		s, _ := d.schema(version)
		return Shape{schema: s, custom: true, meta: c.book}
	}
	known, ok := c.book.kinds[kind(group, version, name)]
	if !ok {
		return Shape{}
	}
	return Shape{schema: c.book.definition(known), book: c.book}
}

// resolved follows a reference.
func (s Shape) resolved() *schema {
	if s.schema != nil && s.schema.Ref != "" && s.book != nil {
		return s.book.definition(definitionName(s.schema.Ref))
	}
	return s.schema
}

// Field is the shape of what a map has under a key.
func (s Shape) Field(key string) Shape {
	if s.custom && key == "metadata" && s.meta != nil {
		return Shape{schema: s.meta.definition(objectMeta), book: s.meta}
	}
	of := s.resolved()
	if of == nil {
		return Shape{}
	}
	if property, ok := of.Properties[key]; ok {
		return Shape{schema: property, book: s.book}
	}
	if of.Additional != nil {
		return Shape{schema: of.Additional.schema, book: s.book}
	}
	return Shape{}
}

// Item is the shape of the items of a list.
func (s Shape) Item() Shape {
	of := s.resolved()
	if of == nil {
		return Shape{}
	}
	return Shape{schema: of.Items, book: s.book}
}

// Keys are the fields that tell the items of a list apart: those of x-kubernetes-list-map-keys where the list is a map, else
// the patch merge key. There are none where items are told apart by their place, or by what they are.
func (s Shape) Keys() []string {
	of := s.resolved()
	switch {
	case of == nil:
		return nil
	case len(of.MapKeys) > 0 && (of.ListType == "" || of.ListType == "map"):
		return slices.Clone(of.MapKeys)
	case of.MergeKey != "" && of.ListType != "atomic" && of.Items != nil:
		return []string{of.MergeKey}
	}
	return nil
}

// Set reports whether the items of a list are told apart by what they are: their order says nothing.
func (s Shape) Set() bool {
	of := s.resolved()
	return of != nil && of.ListType == "set"
}
