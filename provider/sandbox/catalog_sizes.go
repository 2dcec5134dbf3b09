package sandbox

// plan is a size without a GPU. Its memory is in MB, its disk in GB, its
// transfer in TB a month and its price in US dollars a month.
type plan struct {
	slug, description   string
	vcpus, memory, disk int
	transfer, monthly   float64
}

// plans are DigitalOcean's most used sizes at its list prices.
var plans = []plan{
	{"s-1vcpu-512mb-10gb", "Basic", 1, 512, 10, 0.5, 4},
	{"s-1vcpu-1gb", "Basic", 1, 1024, 25, 1, 6},
	{"s-1vcpu-2gb", "Basic", 1, 2048, 50, 2, 12},
	{"s-2vcpu-2gb", "Basic", 2, 2048, 60, 3, 18},
	{"s-2vcpu-4gb", "Basic", 2, 4096, 80, 4, 24},
	{"s-4vcpu-8gb", "Basic", 4, 8192, 160, 5, 48},
	{"s-8vcpu-16gb", "Basic", 8, 16384, 320, 6, 96},

	{"s-1vcpu-1gb-amd", "Premium AMD", 1, 1024, 25, 1, 7},
	{"s-1vcpu-2gb-amd", "Premium AMD", 1, 2048, 50, 2, 14},
	{"s-2vcpu-2gb-amd", "Premium AMD", 2, 2048, 60, 3, 21},
	{"s-2vcpu-4gb-amd", "Premium AMD", 2, 4096, 80, 4, 28},
	{"s-4vcpu-8gb-amd", "Premium AMD", 4, 8192, 160, 5, 56},
	{"s-8vcpu-16gb-amd", "Premium AMD", 8, 16384, 320, 6, 112},

	{"s-1vcpu-1gb-intel", "Premium Intel", 1, 1024, 25, 1, 7},
	{"s-1vcpu-2gb-intel", "Premium Intel", 1, 2048, 50, 2, 14},
	{"s-2vcpu-2gb-intel", "Premium Intel", 2, 2048, 60, 3, 21},
	{"s-2vcpu-4gb-intel", "Premium Intel", 2, 4096, 80, 4, 28},
	{"s-4vcpu-8gb-intel", "Premium Intel", 4, 8192, 160, 5, 56},
	{"s-8vcpu-16gb-intel", "Premium Intel", 8, 16384, 320, 6, 112},

	{"c-2", "CPU-Optimized", 2, 4096, 25, 4, 42},
	{"c-4", "CPU-Optimized", 4, 8192, 50, 5, 84},
	{"c-8", "CPU-Optimized", 8, 16384, 100, 6, 168},
	{"c-16", "CPU-Optimized", 16, 32768, 200, 7, 336},
	{"c-32", "CPU-Optimized", 32, 65536, 400, 9, 672},

	{"g-2vcpu-8gb", "General Purpose", 2, 8192, 25, 4, 63},
	{"g-4vcpu-16gb", "General Purpose", 4, 16384, 50, 5, 126},
	{"g-8vcpu-32gb", "General Purpose", 8, 32768, 100, 6, 252},
	{"g-16vcpu-64gb", "General Purpose", 16, 65536, 200, 7, 504},
	{"g-32vcpu-128gb", "General Purpose", 32, 131072, 400, 8, 1008},
	{"g-40vcpu-160gb", "General Purpose", 40, 163840, 500, 9, 1260},

	{"gd-2vcpu-8gb", "General Purpose - 2x SSD", 2, 8192, 50, 4, 68},
	{"gd-4vcpu-16gb", "General Purpose - 2x SSD", 4, 16384, 100, 5, 136},
	{"gd-8vcpu-32gb", "General Purpose - 2x SSD", 8, 32768, 200, 6, 272},
	{"gd-16vcpu-64gb", "General Purpose - 2x SSD", 16, 65536, 400, 7, 544},
	{"gd-32vcpu-128gb", "General Purpose - 2x SSD", 32, 131072, 800, 8, 1088},
	{"gd-40vcpu-160gb", "General Purpose - 2x SSD", 40, 163840, 1000, 9, 1360},

	{"m-2vcpu-16gb", "Memory-Optimized", 2, 16384, 50, 4, 84},
	{"m-4vcpu-32gb", "Memory-Optimized", 4, 32768, 100, 6, 168},
	{"m-8vcpu-64gb", "Memory-Optimized", 8, 65536, 200, 7, 336},
	{"m-16vcpu-128gb", "Memory-Optimized", 16, 131072, 400, 8, 672},
	{"m-24vcpu-192gb", "Memory-Optimized", 24, 196608, 600, 9, 1008},
	{"m-32vcpu-256gb", "Memory-Optimized", 32, 262144, 800, 10, 1344},

	{"so-2vcpu-16gb", "Storage-Optimized", 2, 16384, 300, 4, 131},
	{"so-4vcpu-32gb", "Storage-Optimized", 4, 32768, 600, 6, 262},
	{"so-8vcpu-64gb", "Storage-Optimized", 8, 65536, 1200, 7, 524},
	{"so-16vcpu-128gb", "Storage-Optimized", 16, 131072, 2400, 8, 1048},
	{"so-24vcpu-192gb", "Storage-Optimized", 24, 196608, 3600, 9, 1572},
	{"so-32vcpu-256gb", "Storage-Optimized", 32, 262144, 4800, 10, 2096},
}

// gpuPlans are DigitalOcean's GPU sizes, which it prices by the hour. The
// sandbox's droplets of these sizes have no GPU in them.
var gpuPlans = []struct {
	slug, description   string
	vcpus, memory, disk int
	transfer, hourly    float64
	model               string
	count, vram         int
}{
	{"gpu-4000adax1-20gb", "RTX 4000 Ada GPU - 1X", 8, 32768, 500, 10, 0.76, "nvidia_rtx4000_ada", 1, 20},
	{"gpu-l40sx1-48gb", "L40S GPU - 1X", 8, 65536, 500, 10, 1.57, "nvidia_l40s", 1, 48},
	{"gpu-6000adax1-48gb", "RTX 6000 Ada GPU - 1X", 8, 65536, 500, 10, 1.89, "nvidia_rtx6000_ada", 1, 48},
	{"gpu-mi300x1-192gb", "AMD MI300X - 1X", 20, 245760, 720, 15, 1.99, "amd_mi300x", 1, 192},
	{"gpu-h100x1-80gb", "H100 GPU - 1X", 20, 245760, 720, 15, 3.39, "nvidia_h100", 1, 80},
	{"gpu-h100x8-640gb", "H100 GPU - 8X", 160, 1966080, 2046, 60, 23.92, "nvidia_h100", 8, 640},
}
