package sandbox

// The members of reference data are documented for pipelines, tags and products, and likeliest for the rest; data.json has
// them as they are answered. https://docs.heffl.com/api-v2/id-prefixes says which calls there are.

// allResources are the resources, those first that others refer to.
func (s *Sandbox) allResources() []*resource {
	pipelines := readOnly("pipelines", "Pipeline", "dpl_", "name")
	pipelines.single = true
	stages := readOnly("stages", "Pipeline stage", "dps_", "name")
	stages.internal = true // served as part of their pipelines
	leads := readOnly("leads", "Lead", "ld_", "name", "title", "email", "phone")
	leads.orderBy = []order{{"createdAt", byCreated}, {"name", byField("name")}}
	return []*resource{
		pipelines, stages,
		readOnly("users", "User", "usr_", "name", "email"),
		readOnly("tags", "Tag", "tag_", "name"),
		readOnly("sources", "Source", "src_", "name"),
		readOnly("products", "Product", "prd_", "name", "sku"),
		readOnly("client-stages", "Client stage", "cs_", "label"),
		leads,
		s.companies(), s.contacts(), s.deals(), s.tasks(),
	}
}

// readOnly declares a resource that can only be listed, and searched in the given members.
func readOnly(name, singular, prefix string, searched ...string) *resource {
	return &resource{
		name: name, singular: singular, prefix: prefix,
		searched: func(rec *record) []string {
			var texts []string
			for _, member := range searched {
				texts = append(texts, rec.fields.text(member))
			}
			return texts
		},
	}
}
