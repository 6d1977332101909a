package openapi

import (
	"encoding/json"
	"fmt"
)

// ReadAll reads every definition of a checker's version, and looks up what they refer to.
func ReadAll(c *Checker) error {
	for name, text := range c.book.definitions {
		s := &schema{}
		if err := json.Unmarshal(text, s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := c.book.refs(s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for kind, name := range c.book.kinds {
		if c.book.definition(name) == nil {
			return fmt.Errorf("%s has no definition", kind)
		}
	}
	return nil
}

func (b *book) refs(s *schema) error {
	if s == nil {
		return nil
	}
	if s.Ref != "" && b.definition(definitionName(s.Ref)) == nil {
		return fmt.Errorf("%s leads nowhere", s.Ref)
	}
	subs := []*schema{s.Items}
	if s.Additional != nil {
		subs = append(subs, s.Additional.schema)
	}
	for _, p := range s.Properties {
		subs = append(subs, p)
	}
	for _, sub := range subs {
		if err := b.refs(sub); err != nil {
			return err
		}
	}
	return nil
}

// SortVersions is sortVersions.
func SortVersions(versions []string) { sortVersions(versions) }
