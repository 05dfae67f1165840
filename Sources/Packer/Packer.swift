// Packer
