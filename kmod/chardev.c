// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: opens and calls of /dev/farlane/control and /dev/farlane/<name>. Hands on: calls of
 * the daemon to control.c. Owns: the device numbers, the nodes, the open files.
 */
#include "chardev.h"

#include <linux/cdev.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "compat/class.h"

#define CONTROL_MINOR 0
#define MINORS (FL_MAX_SLOTS + 1)

/*
 * /dev/farlane/<name>. One process has it at a time; a function that a kernel driver is bound to
 * has no second master.
 */
struct fl_node {
	struct kref ref; /* of the table, and of the open file */
	struct fl_function *function;
	struct device *dev;
	u32 minor;
	bool held, leaving; /* under fl_nodes_lock */
};

static dev_t fl_numbers;
static struct cdev fl_cdev;
static DEFINE_XARRAY_ALLOC1(fl_nodes); /* by minor */
static DEFINE_MUTEX(fl_nodes_lock);

static char *fl_devnode(fl_compat_devnode_device *dev, umode_t *mode)
{
	if (mode)
		*mode = MINOR(dev->devt) == CONTROL_MINOR ? 0600 : 0660;
	return kasprintf(GFP_KERNEL, "farlane/%s", dev_name(dev));
}

static int fl_uevent(fl_compat_uevent_device *dev, struct kobj_uevent_env *env)
{
	const struct fl_node *node = dev_get_drvdata(dev);

	if (!node)
		return 0;
	return add_uevent_var(env, "FARLANE_PEER=%s", node->function->peer) ?:
	       add_uevent_var(env, "FARLANE_LEASE=%s", node->function->lease);
}

static struct class fl_class = {
	.name = "farlane",
	.devnode = fl_devnode,
	.dev_uevent = fl_uevent,
};

static void free_node(struct kref *ref)
{
	struct fl_node *node = container_of(ref, struct fl_node, ref);

	fl_function_put(node->function);
	kfree(node);
}

/* Takes the node for one file. */
static struct fl_node *hold_node(unsigned int minor)
{
	struct fl_node *node;
	struct pci_dev *pdev;

	mutex_lock(&fl_nodes_lock);
	node = xa_load(&fl_nodes, minor);
	if (!node || node->leaving || fl_function_is_gone(node->function)) {
		node = ERR_PTR(-ENODEV);
		goto out;
	}
	pdev = READ_ONCE(node->function->pdev);
	if (node->held || (pdev && READ_ONCE(pdev->dev.driver))) {
		node = ERR_PTR(-EBUSY);
		goto out;
	}
	node->held = true;
	kref_get(&node->ref);
out:
	mutex_unlock(&fl_nodes_lock);
	return node;
}

static void let_node_go(struct fl_node *node)
{
	mutex_lock(&fl_nodes_lock);
	node->held = false;
	mutex_unlock(&fl_nodes_lock);
	kref_put(&node->ref, free_node);
}

static int fl_open(struct inode *inode, struct file *file)
{
	struct fl_file *open = kzalloc(sizeof(*open), GFP_KERNEL_ACCOUNT);

	if (!open)
		return -ENOMEM;
	open->file = file;
	init_rwsem(&open->gate);
	if (iminor(inode) != CONTROL_MINOR) {
		open->node = hold_node(iminor(inode));
		if (IS_ERR(open->node)) {
			int error = PTR_ERR(open->node);

			kfree(open);
			return error;
		}
	}
	file->private_data = open;
	return nonseekable_open(inode, file);
}

static int fl_release(struct inode *inode, struct file *file)
{
	struct fl_file *open = file->private_data;

	if (open->node)
		let_node_go(open->node);
	else
		fl_daemon_left(open);
	kfree(open);
	return 0;
}

static long fl_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	struct fl_file *open = file->private_data;
	void __user *at = (void __user *)argument;

	if (number == FL_IOC_INFO)
		return fl_ioctl_info(at);
	return open->node ? -ENOTTY : fl_control_ioctl(open, number, at);
}

static int fl_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct fl_file *open = file->private_data;

	return open->node ? -EINVAL : fl_control_mmap(open, vma);
}

static const struct file_operations fl_fops = {
	.owner = THIS_MODULE,
	.open = fl_open,
	.release = fl_release,
	.unlocked_ioctl = fl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = fl_mmap,
};

/* The node of an earlier function of that name may still be on its way out. */
static int take_minor(struct fl_node *node)
{
	struct fl_node *other;
	unsigned long minor;
	int error = 0;

	mutex_lock(&fl_nodes_lock);
	xa_for_each(&fl_nodes, minor, other)
		if (!strcmp(other->function->name, node->function->name))
			error = -EEXIST;
	if (!error)
		error = xa_alloc(&fl_nodes, &node->minor, node, XA_LIMIT(1, MINORS - 1),
				 GFP_KERNEL);
	mutex_unlock(&fl_nodes_lock);
	return error;
}

int fl_chardev_node_add(struct fl_function *f)
{
	struct fl_node *node = kzalloc(sizeof(*node), GFP_KERNEL);
	int error;

	if (!node)
		return -ENOMEM;
	kref_init(&node->ref);
	node->function = f;
	kref_get(&f->ref);
	error = take_minor(node);
	if (error)
		goto err_node;
	node->dev = device_create(&fl_class, NULL, fl_numbers + node->minor, node, "%s", f->name);
	error = PTR_ERR_OR_ZERO(node->dev);
	if (error)
		goto err_minor;
	return 0;
err_minor:
	xa_erase(&fl_nodes, node->minor);
err_node:
	kref_put(&node->ref, free_node);
	return error;
}

void fl_chardev_node_remove(struct fl_function *f)
{
	struct fl_node *node;
	unsigned long minor;

	mutex_lock(&fl_nodes_lock);
	xa_for_each(&fl_nodes, minor, node)
		if (node->function == f)
			break;
	if (node)
		node->leaving = true; /* hold_node() refuses it */
	mutex_unlock(&fl_nodes_lock);
	if (!node)
		return;
	/* the name is free again when the device has gone */
	device_destroy(&fl_class, fl_numbers + node->minor);
	mutex_lock(&fl_nodes_lock);
	xa_erase(&fl_nodes, minor);
	mutex_unlock(&fl_nodes_lock);
	kref_put(&node->ref, free_node);
}

static int make_control(void)
{
	struct device *dev = device_create(&fl_class, NULL, fl_numbers + CONTROL_MINOR, NULL,
					   "control");

	return PTR_ERR_OR_ZERO(dev);
}

int fl_chardev_init(void)
{
	int error = class_register(&fl_class);

	if (error)
		return error;
	error = alloc_chrdev_region(&fl_numbers, 0, MINORS, "farlane");
	if (error)
		goto err_class;
	cdev_init(&fl_cdev, &fl_fops);
	error = cdev_add(&fl_cdev, fl_numbers, MINORS);
	if (error)
		goto err_numbers;
	error = make_control();
	if (error)
		goto err_cdev;
	return 0;
err_cdev:
	cdev_del(&fl_cdev);
err_numbers:
	unregister_chrdev_region(fl_numbers, MINORS);
err_class:
	class_unregister(&fl_class);
	return error;
}

/* No file is open and no function is left: the module's count and fl_device_exit() see to it. */
void fl_chardev_exit(void)
{
	fl_daemon_exit();
	device_destroy(&fl_class, fl_numbers + CONTROL_MINOR);
	cdev_del(&fl_cdev);
	unregister_chrdev_region(fl_numbers, MINORS);
	class_unregister(&fl_class);
	xa_destroy(&fl_nodes);
}
