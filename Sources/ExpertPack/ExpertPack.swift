// ExpertPack
