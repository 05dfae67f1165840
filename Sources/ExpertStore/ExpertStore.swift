// ExpertStore
